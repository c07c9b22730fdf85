import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'
import { root } from '../processes.ts'
import { piped } from './cluster.ts'

/** The parts beside the base, by their folder in deploy/kubernetes/components; Helm calls one of them by a shorter name. */
export const parts = ['ingress', 'gateway-api', 'autoscaling', 'monitoring'] as const
export type Part = typeof parts[number]

interface KubeObject { kind: string, metadata: { name: string, namespace?: string, labels: Record<string, string> }, data?: Record<string, string> }

/** What kustomize makes of the base with these components. */
export async function kustomized (chosen: readonly Part[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'muxi-api-'))
  try {
    const at = (path: string) => relative(folder, join(root, 'deploy/kubernetes', path))
    await writeFile(join(folder, 'kustomization.yaml'), JSON.stringify({ resources: [at('base')], components: chosen.map((part) => at(`components/${part}`)) }))
    return await kustomizedAt(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** What kustomize makes of a folder. */
export async function kustomizedAt (folder: string): Promise<string> {
  const { stdout, stderr } = await piped('kubectl', ['kustomize', folder])
  if (stderr !== '') throw new Error(stderr)
  return stdout
}

/** What Helm makes of the chart with the same parts. */
export async function helmed (chosen: readonly Part[], ...more: string[]): Promise<string> {
  const values = chosen.map((part) => `--set=${part === 'gateway-api' ? 'gateway' : part}.enabled=true`)
  return (await piped('helm', ['template', 'muxi-api', join(root, 'deploy/helm/muxi-api'), '--namespace=muxi', '--kube-version=1.34.2', ...values, ...more])).stdout
}

/** The objects in an order of their own, without what only Helm says of itself; settings as what they mean. */
export function normalised (objects: string): Record<string, unknown> {
  const all = parseAllDocuments(objects).map((document) => document.toJS() as KubeObject | null).filter((object) => object !== null)
  return Object.fromEntries(all.map(({ data, metadata: { namespace, labels, ...metadata }, ...object }): [string, unknown] => {
    const own = Object.fromEntries(Object.entries(labels).filter(([name]) => /^app\.kubernetes\.io\/(?:name|instance)$/.test(name)))
    return [`${object.kind}/${metadata.name}`, { ...object, metadata: { ...metadata, labels: own }, ...(data && { data: parse(data['muxi-api.yaml'] ?? '') as unknown }) }]
  }).sort(([one], [other]) => one < other ? -1 : 1))
}
