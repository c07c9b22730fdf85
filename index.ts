// What those who embed the server import as `muxi-api`.
export { buildApp } from './app.ts'
export { ConfigError, loadConfig, type Config } from './config.ts'
export { start, type Running } from './server.ts'
