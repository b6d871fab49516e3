import { IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import helmet from 'helmet'

const self = ["'self'"]
const directives = {
  'default-src': self,
  'script-src': self,
  'style-src': self,
  'img-src': [...self, 'data:'],
  'connect-src': self,
  'form-action': self,
  'base-uri': ["'none'"],
  'object-src': ["'none'"],
  'frame-ancestors': ["'none'"],
}

/** What browsers are told with every answer: our own files only, nothing inline, in nobody's frame. */
export function createSecurityHeaders(production: boolean): OutgoingHttpHeaders {
  const setHeaders = helmet({
    contentSecurityPolicy: { useDefaults: false, directives },
    xFrameOptions: { action: 'deny' },
    // Over plain http, as on a person's own machine, it would have no effect or lock them out.
    strictTransportSecurity: production,
  })
  // The same for all answers, so they are made once, on a response that goes nowhere.
  const response = new ServerResponse(new IncomingMessage(new Socket()))
  setHeaders(response.req, response, () => {})
  return response.getHeaders()
}
