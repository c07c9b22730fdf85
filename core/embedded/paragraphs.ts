const most = 2000

/** Cuts a text into its paragraphs: a heading stays with what follows it, and a long paragraph becomes several. */
export function paragraphsOf (text: string): string[] {
  const blocks = text.replace(/\r\n?/g, '\n').split(/\n[^\S\n]*\n\s*/).map((block) => block.trim()).filter((block) => block !== '')
  const paragraphs: string[] = []
  let heading = ''
  for (const block of blocks) {
    if (/^#[^\n]*$/.test(block)) {
      heading += `${block}\n`
      continue
    }
    paragraphs.push(...pieces(heading + block))
    heading = ''
  }
  return heading === '' ? paragraphs : [...paragraphs, ...pieces(heading.trim())]
}

function pieces (paragraph: string): string[] {
  const cut: string[] = []
  let rest = paragraph
  while (rest.length > most) {
    const part = rest.slice(0, most)
    const end = [part.lastIndexOf('\n'), part.lastIndexOf('. ') + 1, part.lastIndexOf(' ')].find((at) => at > most / 4) ?? most
    cut.push(rest.slice(0, end).trim())
    rest = rest.slice(end).trimStart()
  }
  return [...cut, rest].filter((piece) => piece !== '')
}
