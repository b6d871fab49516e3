/** What a process of ours says, or what is to be known when it or its model fails. It holds no prompts. */
export function logChild(text: string): void {
  process.stderr.write(text)
}
