import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installed } from '../processes.ts'
import { Program } from './program.ts'

/** Why there is no proxy to start; undefined where there is. */
export function proxyMissing (): string | undefined {
  return installed('nginx') ? undefined : 'no nginx in the PATH (Debian: apt-get install nginx-light)'
}

/** nginx before several instances, each request to another one. */
export class Proxy {
  readonly url: string
  readonly #program: Program

  private constructor (port: number, folder: string, file: string) {
    this.url = `http://127.0.0.1:${port}`
    // The master ends its workers, if it is asked.
    this.#program = new Program('nginx', ['-p', folder, '-c', file], { cwd: folder, log: join(folder, 'nginx.log'), end: 'SIGTERM' })
  }

  static async start (port: number, folder: string, instances: number[]): Promise<Proxy> {
    const file = join(folder, 'nginx.conf')
    await writeFile(file, confOf(port, folder, instances))
    const proxy = new Proxy(port, folder, file)
    await proxy.#program.start(async () => await fetch(`${proxy.url}/health`, { signal: AbortSignal.timeout(5_000) }).then(({ ok }) => ok, () => false))
    return proxy
  }

  /** New workers take over; what still runs in the old ones is cut off after half a second. */
  reload (): void {
    this.#program.signal('SIGHUP')
  }

  async stop (): Promise<void> {
    await this.#program.stop()
  }
}

/** Little is held on the way, so that a client that does not read is felt by the instance. */
const confOf = (port: number, folder: string, instances: number[]) => `
daemon off; pid ${folder}/nginx.pid; error_log stderr warn; worker_processes 1; worker_shutdown_timeout 500ms; user root;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  map $http_upgrade $connection_wish {
    default upgrade;
    '' '';
  }
  upstream instances {
    ${instances.map((instance) => `server 127.0.0.1:${instance} fail_timeout=1s;`).join('\n    ')}
  }
  server {
    listen 127.0.0.1:${port} sndbuf=16k;
    location / {
      proxy_pass http://instances;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_wish;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_buffering off;
      proxy_buffer_size 4k;
      proxy_connect_timeout 1s;
      proxy_next_upstream error timeout;
    }
  }
}
`
