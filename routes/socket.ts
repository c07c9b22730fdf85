import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { wsConnect } from '../schemas/socket.ts'

const socket: FastifyPluginAsyncTypebox = async (app) => {
  app.route({
    method: 'GET',
    url: '/api/v1/ws',
    schema: wsConnect,
    config: { access: 'user', ticket: true, component: 'ws' },
    exposeHeadRoute: false,
    onRequest: app.sockets.check,
    handler: app.sockets.refuse,
    wsHandler: app.sockets.serve
  })
}

export default socket
