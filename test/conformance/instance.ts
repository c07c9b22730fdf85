import { buildApp } from '../../app.ts'
import { loadConfig } from '../../config.ts'
import { fixture } from './fixture/index.ts'

/** One instance of several with what the suite asks for, as a program: its settings are those of the environment. */
const { config } = loadConfig()
const app = await buildApp(config)
app.mcp.features.push(fixture(app))
await app.listen({ host: config.api.host, port: config.api.port })
await app.core.check()
