/** What browsers are told of every answer: our own files only, nothing inline, in nobody's frame. Options of helmet. */
export function securityHeaders(production: boolean) {
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
  return {
    contentSecurityPolicy: { useDefaults: false, directives },
    xFrameOptions: { action: 'deny' } as const,
    // Over plain http, as on a person's own machine, it would have no effect or lock them out.
    strictTransportSecurity: production,
  }
}
