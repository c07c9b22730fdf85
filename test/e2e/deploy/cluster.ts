import { execFile } from 'node:child_process'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cache, freePort, root, started, temporary } from '../processes.ts'

const made = ['go.mod', 'build.sh'].map((name) => readFileSync(join(root, 'test/e2e/deploy/kube', name)))

/** Where kube/build.sh puts Kubernetes and its tools: another place whenever what defines them changes. */
export const tools = join(cache, `kube-${createHash('sha256').update(Buffer.concat(made)).digest('hex').slice(0, 12)}`)

/** Why there is no Kubernetes to ask; undefined where there is. */
export function kubeMissing (): string | undefined {
  return existsSync(tools) ? undefined : 'Kubernetes is not built: test/e2e/deploy/kube/build.sh'
}

/** A namespace under the policy `restricted` in a Kubernetes that runs nothing: it takes objects, or says what is wrong with them. */
export interface Cluster extends AsyncDisposable {
  /** What would become of the objects: what kubectl says of each, and its warnings. */
  dryRun: (objects: string) => Promise<{ lines: string[], warnings: string[] }>
}

/** Starts kube-apiserver and its etcd on loopback, with the kinds that are not Kubernetes' own. */
export async function startCluster (): Promise<Cluster> {
  const folder = await temporary()
  const stops: (() => Promise<void>)[] = []
  const dispose = async () => {
    for (const stop of stops.reverse()) await stop()
    await folder[Symbol.asyncDispose]()
  }
  try {
    const [store, peers, port] = [await freePort(), await freePort(), await freePort()]
    const etcd = `http://127.0.0.1:${store}`
    const peer = `http://127.0.0.1:${peers}`
    stops.push(await started(join(tools, 'etcd'), ['--data-dir', join(folder.path, 'etcd'), '--listen-client-urls', etcd, '--advertise-client-urls', etcd,
      '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `default=${peer}`, '--unsafe-no-fsync'], {},
    async () => await fetch(`${etcd}/health`).then(({ ok }) => ok, () => false)))

    await writeKeys(folder.path)
    const file = (name: string) => join(folder.path, name)
    const kubectl = kubectlAt(port, folder.path)
    stops.push(await started(join(tools, 'kube-apiserver'), [`--etcd-servers=${etcd}`, `--cert-dir=${file('certs')}`, '--bind-address=127.0.0.1', `--secure-port=${port}`,
      '--service-cluster-ip-range=10.0.0.0/24', '--service-account-issuer=https://kubernetes.default', `--service-account-key-file=${file('sa.pub')}`,
      `--service-account-signing-key-file=${file('sa.key')}`, `--token-auth-file=${file('tokens.csv')}`, '--authorization-mode=RBAC', '--disable-admission-plugins=ServiceAccount'], {},
    async () => await kubectl(['get', '--raw=/readyz']).then(() => true, () => false)))

    await kubectl(['create', 'namespace', 'muxi'])
    await kubectl(['label', 'namespace', 'muxi', 'pod-security.kubernetes.io/enforce=restricted', 'pod-security.kubernetes.io/warn=restricted'])
    await kubectl(['apply', '--server-side', '-f', join(tools, 'kinds')])
    await kubectl(['wait', '--for=condition=Established', '--timeout=20s', '-f', join(tools, 'kinds')])
    const dryRun: Cluster['dryRun'] = async (objects) => {
      const { stdout, stderr } = await kubectl(['--namespace=muxi', 'apply', '--dry-run=server', '--validate=strict', '--filename=-'], objects)
      return { lines: linesOf(stdout), warnings: linesOf(stderr) }
    }
    return { dryRun, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

type Kubectl = (args: string[], input?: string) => Promise<{ stdout: string, stderr: string }>

function kubectlAt (port: number, home: string): Kubectl {
  const to = ['--kubeconfig=/dev/null', `--server=https://127.0.0.1:${port}`, '--insecure-skip-tls-verify', '--token=test-token']
  return async (args, input) => await piped('kubectl', [...to, ...args], { input, env: { HOME: home } })
}

/** Runs one of the tools, with what it reads from its standard input; what it wrote of errors is the error. */
export async function piped (tool: string, args: string[], { input = '', env = {} }: { input?: string | undefined, env?: Record<string, string> } = {}): Promise<{ stdout: string, stderr: string }> {
  return await new Promise((resolve, reject) => {
    const child = execFile(join(tools, tool), args, { env: { ...process.env, KUBECONFIG: '/dev/null', ...env }, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      if (error === null) resolve({ stdout, stderr })
      else reject(Object.assign(new Error(stderr || stdout || error.message), { stdout }))
    })
    child.stdin!.end(input)
  })
}

/** What a token of a service account is signed with, and who may ask: both are asked for, neither is used beyond this. */
async function writeKeys (folder: string): Promise<void> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048, publicKeyEncoding: { type: 'spki', format: 'pem' }, privateKeyEncoding: { type: 'pkcs8', format: 'pem' } })
  await mkdir(join(folder, 'certs'))
  await writeFile(join(folder, 'sa.key'), privateKey)
  await writeFile(join(folder, 'sa.pub'), publicKey)
  await writeFile(join(folder, 'tokens.csv'), 'test-token,admin,admin,system:masters\n')
}

function linesOf (text: string): string[] {
  return text.split('\n').filter(Boolean)
}
