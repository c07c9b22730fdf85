import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { startProgram, type Served } from '../processes.ts'

const module_ = '/usr/lib/nginx/modules/ngx_nchan_module.so'

/** Starts nginx with nchan, one worker, a publisher at /publish and a stream at /stream; undefined where it is not installed (Debian: libnginx-mod-nchan). */
export async function startNchan (folder: string): Promise<Served | undefined> {
  if (!existsSync(module_)) return undefined
  const port = await freePort()
  const file = join(folder, 'nginx.conf')
  await writeFile(file, `load_module ${module_};
    daemon off; pid ${folder}/nginx.pid; error_log stderr crit; worker_processes 1; worker_rlimit_nofile 16384; user root;
    events { worker_connections 8192; }
    http {
      access_log off; keepalive_requests 1000000; nchan_shared_memory_size 128M;
      client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
      server {
        listen 127.0.0.1:${port} backlog=4096;
        location = /publish { nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 1000; nchan_message_timeout 1m; }
        location = /stream { nchan_subscriber eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest; }
      }
    }`)
  return await startProgram('nginx', ['-c', file, '-p', folder], `http://127.0.0.1:${port}`)
}

async function freePort (): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => { server.close(resolve) })
  return port
}
