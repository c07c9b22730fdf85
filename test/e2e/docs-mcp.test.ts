import { chromium, type Browser, type Page } from 'playwright-core'
import { describe, expect } from 'vitest'
import { test as base } from '../app.ts'
import { installed, skipped } from './processes.ts'

interface Fixtures { browser: Browser, page: Page, complaints: string[] }

const test = base.extend<Fixtures>({
  browser: async ({}, use) => {
    // Root has no sandbox in Chromium.
    const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
    await use(browser)
    await browser.close()
  },
  complaints: async ({}, use) => { await use([]) },
  page: async ({ browser, url, complaints }, use) => {
    const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'], viewport: { width: 1200, height: 900 } })
    const page = await context.newPage()
    page.on('console', (message) => { if (message.type() !== 'log') complaints.push(message.text()) })
    page.on('pageerror', (error) => { complaints.push(error.message) })
    page.on('requestfailed', (request) => { complaints.push(request.url()) })
    await page.goto(`${url}/docs/mcp`)
    await use(page)
    await context.close()
  }
})

describe.skipIf(skipped(installed('chromium') ? undefined : 'chromium is not installed'))('the page for MCP hosts, in Chromium', () => {
  test('shows every host with the address of this server, and complains of nothing', async ({ page, url, complaints }) => {
    const headings = await page.getByRole('heading', { level: 2 }).allTextContents()
    const links = await page.locator('nav a').evaluateAll((all) => all.map((link) => link.getAttribute('href')))
    const targets = await Promise.all(links.map(async (link) => await page.locator(`section${link}`).count()))

    expect(headings).toEqual(expect.arrayContaining(['Claude Code', 'Claude Desktop', 'Cursor', 'VS Code', 'Python', 'TypeScript', 'Go', 'MCP Inspector', 'curl']))
    expect(await page.locator('#address').textContent()).toBe(`${url}/mcp`)
    expect(targets.every((count) => count === 1)).toBe(true)
    expect(complaints).toEqual([])
  })

  test('copies each text as it stands there, and says so', async ({ page, complaints }) => {
    for (const button of await page.locator('button[data-copy]').all()) {
      await button.click()
      const text = await page.locator(`#${await button.getAttribute('data-copy')}`).textContent()

      await expect.poll(async () => await button.textContent(), { interval: 20 }).toBe('Copied')
      expect(await page.evaluate<string>('navigator.clipboard.readText()')).toBe(text)
    }
    expect(complaints).toEqual([])
  })

  test('copies also where the browser keeps its clipboard from it', async ({ page }) => {
    await page.evaluate('navigator.clipboard.writeText = () => Promise.reject(new Error("no"))')
    await page.locator('button[data-copy="claude-code-0"]').click()

    await expect.poll(async () => await page.locator('button[data-copy="claude-code-0"]').textContent()).toBe('Copied')
    expect(await page.evaluate<string>('navigator.clipboard.readText()')).toContain('claude mcp add --transport http')
  })

  test('fits a phone, and is dark where that is wanted', async ({ page }) => {
    const light = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')
    await page.emulateMedia({ colorScheme: 'dark' })
    await page.setViewportSize({ width: 390, height: 800 })

    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBe(390)
    expect([light, await page.evaluate<string>('getComputedStyle(document.body).backgroundColor')]).toEqual(['rgb(255, 255, 255)', 'rgb(15, 19, 24)'])
  })
})
