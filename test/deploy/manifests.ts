import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'

const deploy = new URL('../../deploy', import.meta.url).pathname

/** The text of a file in deploy/. */
export function fileOf (path: string): string {
  return readFileSync(join(deploy, path), 'utf8')
}

/** The first document in a file of deploy/, as what the test says it is. */
export function objectOf<T> (path: string): T {
  return parseAllDocuments(fileOf(path))[0]!.toJS() as T
}

interface Probe { httpGet: { path: string, port: string } }
interface Container {
  image: string
  env: { name: string, value: string }[]
  ports: { name: string, containerPort: number }[]
  resources: { limits: Record<string, string> }
  startupProbe: Probe
  livenessProbe: Probe
  readinessProbe: Probe
  lifecycle: { preStop: { sleep: { seconds: number } } }
}

/** What the tests look at of a Deployment. */
export interface Deployment {
  spec: {
    replicas: number
    template: { spec: { terminationGracePeriodSeconds: number, containers: [Container], volumes: { name: string, secret?: object, hostPath?: { path: string, type: string } }[] } }
  }
}

/** What the tests look at of a NetworkPolicy. */
export interface NetworkPolicy { spec: { egress: { ports: { port: number }[] }[] } }

/** What the tests look at of a HorizontalPodAutoscaler. */
export interface Autoscaler { spec: { metrics: { pods?: { metric: { name: string }, target: { averageValue: string } } }[] } }

/** What the tests look at of the values for prometheus-adapter. */
export interface AdapterRules { rules: { custom: { seriesQuery: string, name: { as: string }, metricsQuery: string }[] } }
