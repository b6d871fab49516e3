import type { ConversationAnswer, ConversationItem } from '../../../src/conversations/schema.ts'
import { speaker } from '../../shell/language.svelte.ts'
import { tell } from '../../shell/notices.svelte.ts'
import { addressOf, goTo, place } from '../../shell/router.svelte.ts'
import { service } from '../../shell/service.ts'
import { tellFailure } from '../../shell/tell.ts'
import { toFileName } from '../../ui/file-name.ts'
import { saveFile } from '../../ui/save-file.ts'
import { forgetConversation, noteConversation } from './list.svelte.ts'
import { texts } from './texts.ts'

const say = speaker(texts)
const titleOf = ({ title }: Pick<ConversationItem, 'title'>) => (title === '' ? say('untitled') : title)
const isShown = (id: string) => place().page === 'chat' && place().path[0] === id

export async function setPinned({ id, pinned }: ConversationItem): Promise<ConversationAnswer | undefined> {
  try {
    const changed = await service.changeConversation(id, { pinned: !pinned })
    noteConversation(changed)
    return changed
  } catch (error) {
    tellFailure(error)
    return undefined
  }
}

export async function download(item: ConversationItem, format: 'json' | 'markdown'): Promise<void> {
  try {
    const file = await service.exportConversation(item.id, format)
    saveFile(file, toFileName(titleOf(item), format === 'json' ? 'json' : 'md'))
  } catch (error) {
    tellFailure(error)
  }
}

export async function downloadAll(): Promise<void> {
  try {
    saveFile(await service.exportConversations(), 'simpleia.jsonl')
  } catch (error) {
    tellFailure(error)
  }
}

/** Deletes it, and offers to bring it back. `onrestore` is told when it is there again. */
export async function remove(item: ConversationItem, onrestore: (restored: ConversationAnswer) => void): Promise<void> {
  const wasShown = isShown(item.id)
  forgetConversation(item.id)
  if (wasShown) goTo(addressOf('chat'), { replaces: true })
  try {
    await service.removeConversation(item.id)
  } catch (error) {
    noteConversation(item)
    if (wasShown) goTo(addressOf('chat', item.id), { replaces: true })
    tellFailure(error)
    return
  }
  const undo = () => void restore(item.id, { isShown: wasShown }).then((restored) => restored && onrestore(restored))
  tell(say('removed', { title: titleOf(item) }), { action: { label: say('undo'), run: undo } })
}

async function restore(id: string, { isShown }: Readonly<{ isShown: boolean }>): Promise<ConversationAnswer | undefined> {
  try {
    const restored = await service.restoreConversation(id)
    noteConversation(restored)
    if (isShown) goTo(addressOf('chat', id))
    tell(say('restored', { title: titleOf(restored) }))
    return restored
  } catch (error) {
    tellFailure(error)
    return undefined
  }
}
