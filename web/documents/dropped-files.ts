import type { UploadSource } from './upload-queue.ts'

type Dropped = Readonly<{ items: Iterable<DataTransferItem>; files: Iterable<File> }>
type FileSource = Extract<UploadSource, { kind: 'file' }>

/** The files of a drop, those in its folders with them. The entries must be asked for before the event is over. */
export async function droppedFiles({ items, files }: Dropped): Promise<readonly FileSource[]> {
  const entries = [...items].flatMap((item) => item.webkitGetAsEntry?.() ?? [])
  if (!entries.some(({ isDirectory }) => isDirectory)) return toSources(files)
  return (await Promise.all(entries.map(filesOf))).flat()
}

export const toSources = (files: Iterable<File>): readonly FileSource[] =>
  [...files].map((file) => ({ kind: 'file', file, path: file.webkitRelativePath || file.name }))

async function filesOf(entry: FileSystemEntry): Promise<readonly FileSource[]> {
  if (entry.name.startsWith('.')) return []
  if (isFile(entry)) {
    const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject))
    return [{ kind: 'file', file, path: entry.fullPath.replace(/^\//, '') }]
  }
  return isFolder(entry) ? (await Promise.all((await entriesOf(entry)).map(filesOf))).flat() : []
}

const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile
const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory

/** A folder gives its entries a hundred at a time. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<readonly FileSystemEntry[]> {
  const reader = folder.createReader()
  const found: FileSystemEntry[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) return found
    found.push(...some)
  }
}
