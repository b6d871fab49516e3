import type { Block, ReadDocument } from './blocks.ts'

const languages: ReadonlyMap<string, string> = new Map(
  [
    'c:c,h cpp:cc,cpp,cxx,hpp,hh csharp:cs clojure:clj,cljs css:css,scss,less dart:dart diff:diff,patch dockerfile:dockerfile',
    'elixir:ex,exs erlang:erl go:go graphql:graphql,gql haskell:hs ini:ini,cfg,conf,properties,env java:java',
    'javascript:js,mjs,cjs,jsx json:json,jsonl,ndjson,json5 julia:jl kotlin:kt,kts latex:tex,bib lisp:lisp,el lua:lua',
    'makefile:mk,makefile nix:nix objectivec:m,mm ocaml:ml,mli pascal:pas perl:pl,pm php:php powershell:ps1 protobuf:proto',
    'python:py,pyi,pyx r:r ruby:rb,rake rust:rs scala:scala,sc shell:sh,bash,zsh,fish sql:sql svelte:svelte swift:swift terraform:tf',
    'toml:toml typescript:ts,tsx,mts,cts vue:vue xml:xml,xsd,xsl,svg yaml:yaml,yml zig:zig',
  ]
    .join(' ')
    .split(' ')
    .flatMap((row) => {
      const [language = '', endings = ''] = row.split(':')
      return endings.split(',').map((ending) => [ending, language] as const)
    }),
)

/** The language of a source file, by its name; undefined where the name tells none. */
export function programmingLanguageOf(name: string): string | undefined {
  // The ending, or the whole name where it has none: `Makefile`.
  return languages.get(name.toLowerCase().replace(/^.*[/\\.]/s, ''))
}

/**
 * Parts of a source file that stand for themselves: the lines from one that is not indented, after an empty line, to the next such.
 * What they define is their label.
 */
export function readCode(text: string): ReadDocument {
  const blocks: Block[] = []
  let lines: string[] = []
  const end = () => {
    const code = lines.join('\n')
    const label = nameOfDefinition(lines)
    blocks.push({ type: 'code', text: code, ...(label === undefined ? {} : { label }) })
    lines = []
  }
  for (const line of text.split(/\r\n?|\n/)) {
    // A line that only closes a block belongs to it.
    if (lines.length > 0 && lines.at(-1)?.trim() === '' && /^[^\s)\]}]/.test(line)) end()
    if (lines.length > 0 || line.trim() !== '') lines.push(line)
  }
  if (lines.length > 0) end()
  return { blocks }
}

const definition =
  /^(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\([^)]*\))?|unsafe|extern|inline|open|data|sealed|override)\s+)*(?:function\*?|class|interface|type|enum|struct|trait|impl|module|namespace|object|record|def|fn|func|fun|proc|sub|const|let|var|val|macro_rules!)\s+(?:\([^)]*\)\s*)?([\p{L}_$][\p{L}\p{N}_$!?]*(?:(?:\.|::)[\p{L}\p{N}_$]+)*)/u
/**
 * `int main(void) {`, `static char *name(…)`. Each word is taken as it is found first: a line of `a*a*a*` can be cut into words in more ways
 * than there is time for.
 */
const typedDefinition = /^(?:(?=(?<word>[\p{L}_][\p{L}\p{N}_<>,*&:]*[\s*&]+))\k<word>)+(?<name>[\p{L}_][\p{L}\p{N}_:]*)\s*\(/u

function nameOfDefinition(lines: readonly string[]): string | undefined {
  for (const line of lines) {
    if (/^(?:$|\s|[/*#@]|--|"""|''')/.test(line)) continue
    if (/^(?:return|if|for|while|else|switch|import|from|using|package)\b/.test(line)) return undefined
    return definition.exec(line)?.[1] ?? typedDefinition.exec(line)?.groups?.name
  }
  return undefined
}
