import type { AuditPage, AuditQuery, HistoryAnswer, HistoryQuery, LogLine, LogsAnswer, OverviewAnswer } from '../admin/schema.ts'
import { readEventStream } from '../read-event-stream.ts'
import { livingBodyOf, query, type Transport } from './transport.ts'

type Given<T> = Readonly<{ [Name in keyof T]?: T[Name] }>
const toQuery = (given: Readonly<Record<string, string | number | boolean | undefined>>) =>
  query(Object.fromEntries(Object.entries(given).map(([name, value]) => [name, value?.toString()])))

/** What admins see of the service. */
export function adminClient({ call, json }: Transport) {
  return {
    overview: () => json<OverviewAnswer>('GET', '/admin/overview'),
    history: (filter: Given<Omit<HistoryQuery, 'format'>> = {}) => json<HistoryAnswer>('GET', `/admin/history${toQuery(filter)}`),
    audit: (filter: Given<Omit<AuditQuery, 'format'>> = {}) => json<AuditPage>('GET', `/admin/audit${toQuery(filter)}`),
    logs: (filter: Readonly<{ limit?: number; level?: string }> = {}) => json<LogsAnswer>('GET', `/admin/logs${toQuery(filter)}`),
    /** Lines as they come, after the last ones. `onOpen` is told when the service has begun to tell, be there lines or not. */
    async *followLogs(
      filter: Readonly<{ limit?: number; level?: string }>,
      signal: AbortSignal,
      onOpen: () => void = () => {},
    ): AsyncGenerator<LogLine> {
      const response = await call('GET', `/admin/logs${toQuery({ ...filter, stream: true })}`, undefined, signal)
      onOpen()
      for await (const { event, data } of readEventStream(livingBodyOf(response, signal)))
        if (event === 'line') yield JSON.parse(data)
    },
  }
}
