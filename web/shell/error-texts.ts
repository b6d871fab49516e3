import type { Text } from '../../src/config/kinds.ts'
import type { ErrorCode } from '../../src/errors.ts'

/** What went wrong, for people; `docs/errors.md` explains the codes. */
export const errorTexts: Readonly<Record<ErrorCode | 'unreachable' | 'serviceSays', Text>> = {
  invalid: { en: 'Something in this is not as it must be.', es: 'Algo de esto no es como debe ser.' },
  context_length_exceeded: {
    en: 'This is longer than the model can read at once. Shorten it, or begin a new conversation.',
    es: 'Es más largo de lo que el modelo puede leer de una vez. Acórtalo o empieza otra conversación.',
  },
  unauthorized: { en: 'Sign in to do this.', es: 'Entra para hacer esto.' },
  forbidden: { en: 'You may not do this.', es: 'No tienes permiso para hacer esto.' },
  not_found: { en: 'It is not there, or no longer.', es: 'No existe, o ya no existe.' },
  conflict: { en: 'This does not fit what is there now.', es: 'Esto no encaja con lo que hay ahora.' },
  too_large: { en: 'This is too large.', es: 'Es demasiado grande.' },
  unprocessable: { en: 'This could not be read.', es: 'No se pudo leer.' },
  rate_limited: {
    en: 'Too many requests. Try again in {seconds} s.',
    es: 'Demasiadas peticiones. Inténtalo de nuevo en {seconds} s.',
  },
  quota_exceeded: { en: 'Your allowance for today is used up.', es: 'Tu cupo de hoy está agotado.' },
  aborted: { en: 'It was stopped.', es: 'Se detuvo.' },
  internal: {
    en: 'Something failed. The log of the service has the details.',
    es: 'Algo falló. El registro del servicio tiene los detalles.',
  },
  upstream: {
    en: 'The service that was asked did not answer as it should.',
    es: 'El servicio consultado no respondió como debía.',
  },
  busy: {
    en: 'The model has too much to do. Try again in {seconds} s.',
    es: 'El modelo tiene demasiado trabajo. Inténtalo de nuevo en {seconds} s.',
  },
  unavailable: { en: 'The model cannot answer now.', es: 'El modelo no puede responder ahora.' },
  storage_full: { en: 'The disk is full.', es: 'El disco está lleno.' },
  unreachable: { en: 'The service does not answer. Is it still running?', es: 'El servicio no responde. ¿Sigue en marcha?' },
  serviceSays: { en: 'The service says: {message}', es: 'El servicio dice (en inglés): {message}' },
}
