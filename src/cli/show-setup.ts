import { unreachable } from '../errors.ts'
import type { Report } from '../models/download-events.ts'
import { type Context, writeLine } from './context.ts'
import { formatBytes, formatSeconds } from './format.ts'

/** Tells of a set-up: on a terminal the progress stays on one line, elsewhere it is a line for every tenth. */
export function showSetup({ say, terminal }: Pick<Context, 'say' | 'terminal'>): Report {
  const { notes } = terminal
  const isPerson = notes.isTTY === true
  let toldTenths = 0
  return (event) => {
    switch (event.type) {
      case 'hub-unreachable':
        return writeLine(notes, say('hubUnreachable', { reason: event.reason.replace(/\.$/, '') }))
      case 'download-start':
        toldTenths = 0
        return writeLine(notes, say('downloadStart', { file: event.file, size: formatBytes(event.totalBytes) }))
      case 'download-progress': {
        const { receivedBytes, totalBytes, bytesPerSecond, secondsLeft } = event
        const text = say('downloadProgress', {
          received: formatBytes(receivedBytes),
          total: formatBytes(totalBytes),
          percent: Math.floor((receivedBytes * 100) / totalBytes),
          speed: formatBytes(bytesPerSecond),
          left: formatSeconds(secondsLeft),
        })
        const tenths = Math.floor((receivedBytes * 10) / totalBytes)
        const isDone = receivedBytes === totalBytes
        // "\r" goes back to the start of the line, and the escape sequence clears what stood there.
        if (isPerson) notes.write(`\r\u001b[K  ${barOf(receivedBytes / totalBytes)} ${text}${isDone ? '\n' : ''}`)
        else if (tenths > toldTenths) writeLine(notes, `  ${text}`)
        toldTenths = tenths
        return
      }
      case 'download-retry':
        return writeLine(notes, say('downloadRetry', { reason: event.reason }))
      case 'file-check':
        return writeLine(notes, say('fileCheck', { file: event.file }))
      case 'file-set-aside':
        return writeLine(notes, say('fileSetAside', { file: event.file }))
      case 'download-wait':
        return writeLine(notes, say('setupWait'))
      case 'convert-progress': {
        const { done, total } = event
        if (isPerson)
          notes.write(`\r\u001b[K  ${barOf(done / total)} ${say('converting', { done, total })}${done === total ? '\n' : ''}`)
        return
      }
      case 'model-ready':
        return writeLine(notes, say('modelReady', { file: event.file }))
      case 'checkpoint-ready':
        return writeLine(notes, say('checkpointReady', { folder: event.folder }))
      default:
        return unreachable(event)
    }
  }
}

const barWidth = 20

function barOf(share: number): string {
  const filled = Math.floor(share * barWidth)
  return '█'.repeat(filled) + '░'.repeat(barWidth - filled)
}
