import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type RenderOptions, renderToken } from '../../web/ui/markdown/render-html.ts'
import { createSplitter, harmlessSpans } from '../../web/ui/markdown/split-blocks.ts'
import { payloads } from '../web/xss-payloads.ts'

const options: RenderOptions = {
  labels: { copy: 'Copy', source: 'Source', done: 'done', open: 'open', table: 'Table' },
  sources: new Set([1, 2]),
  highlight: undefined,
  math: (tex, isDisplay) => `<math${isDisplay ? ' display="block"' : ''}>${tex.replaceAll('<', '&lt;')}</math>`,
}
const render = (text: string, split = createSplitter()) => split(text).map(({ token }) => renderToken(token, options))
const html = (text: string) => render(text).join('')

const pieces = [
  ...[
    '# ',
    '- ',
    '-',
    '1. ',
    '2',
    '. ',
    '> ',
    '```',
    '```js\n',
    '~~~\n',
    '    ',
    '  ',
    '\n',
    '\n\n',
    '|',
    '|-|-|\n',
    '| a | b |\n',
    '===',
  ],
  ...[
    '*',
    '**',
    '_',
    '`',
    '$',
    '$$',
    '\\[',
    '\\]',
    '\\(',
    '\\)',
    '[1]',
    '[a]: http://x.example\n',
    '[a](http://x.example)',
    '---',
  ],
  ...['word', ' ', '<b>', '<!-- ', '-->', '<div>\n', '\t', '\r\n', '- [x] ', '\\', '!', '&amp;', '+ ', 'é', '😀', '5'],
]

test('a text that arrives in pieces ends as the same HTML as the whole text', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 25 }), (parts) => {
      const split = createSplitter()
      let text = ''
      for (const part of parts) {
        text += part
        split(text)
      }
      expect(render(text, split)).toEqual(render(text))
    }),
    { numRuns: 2000 },
  )
})

test('blocks that are finished are not made again while more arrives', () => {
  const split = createSplitter()
  const [first, second] = split('# One\n\ntwo\n\nthree')
  const after = split('# One\n\ntwo\n\nthree goes on\n\n- four')
  expect(after[0]).toBe(first)
  expect(after[1]).toBe(second)
  expect(after).toHaveLength(4)
})

test('a list takes in the item that began as a paragraph', () => {
  const split = createSplitter()
  for (const text of ['1. a\n\n2', '1. a\n\n2.', '1. a\n\n2. b']) split(text)
  expect(split('1. a\n\n2. b')).toHaveLength(1)
})

test.each([
  ['costs $5 and $6', '<p>costs $5 and $6</p>'],
  ['$HOME/$USER and a$b$c', '<p>$HOME/$USER and a$b$c</p>'],
  ['`$x$` is $x$', '<p><code>$x$</code> is <math>x</math></p>'],
  [
    '\\(a_1\\) and \\[b\\]',
    '<p><math>a_1</math> and <span class="scroll display" tabindex="0"><math display="block">b</math></span></p>',
  ],
  ['$$\na\n- b\n$$', '<span class="scroll display" tabindex="0"><math display="block">a\n- b</math></span>'],
  ['$$\na\n\n- b', '<p>$$<br>a</p><ul><li>b</li></ul>'],
])('maths in %j', (text, expected) => {
  expect(html(text)).toBe(expected)
})

test('markup in a text is text, and a picture of elsewhere is a link', () => {
  expect(html('<b>a</b> <!-- b -->')).toBe('<p>&lt;b&gt;a&lt;/b&gt; &lt;!-- b --&gt;</p>')
  expect(html('![x](https://evil.example/x.png)')).toBe(
    '<p><a class="image" href="https://evil.example/x.png" target="_blank" rel="noopener noreferrer nofollow">x</a></p>',
  )
  expect(html('[x](javascript:alert(1)) [y](data:text/html,z)')).toBe('<p>x y</p>')
})

test('no payload becomes an element or a link to a script', () => {
  const allowed = /^<\/?(p|br|a|code|em|strong|span|div|pre|button)( |>)/
  for (const payload of payloads) {
    for (const text of [payload, `- ${payload}`, `# ${payload}`, `| a |\n|-|\n| ${payload} |`, `\`\`\`\n${payload}\n\`\`\``]) {
      const made = html(text).replaceAll(/<\/?(ul|li|h3|table|thead|tbody|tr|th|td)( |>)/g, '')
      expect((made.match(/<[^ ]/g) ?? []).length).toBe((made.match(new RegExp(allowed.source.slice(1), 'g')) ?? []).length)
      expect(made).not.toMatch(/href="(?!https?:|mailto:)/)
    }
  }
})

test('numbers of sources that there are become buttons, others stay text', () => {
  expect(html('yes [1, 2] no [7]')).toBe(
    '<p>yes <button type="button" class="cite" data-source="1" aria-label="Source 1">1</button>' +
      '<button type="button" class="cite" data-source="2" aria-label="Source 2">2</button> no [7]</p>',
  )
})

test('lists of tasks say what is done', () => {
  expect(html('- [x] a\n- [ ] b')).toBe(
    '<ul><li><span class="task" role="img" aria-label="done">☑</span> a</li>' +
      '<li><span class="task" role="img" aria-label="open">☐</span> b</li></ul>',
  )
})

test('a sentence is not marked where the mark would make another block', () => {
  const text = 'One.\n\n```js\ncode\n```\n\nTwo.'
  const spans = [
    { offset: 0, length: 8 },
    { offset: 0, length: 4 },
    { offset: 23, length: 4 },
  ]
  expect(harmlessSpans(text, spans)).toEqual(spans.slice(1))
})

test('what is nested too deeply to be read is shown as it was written, and what is around it as ever', () => {
  const deep = ['> '.repeat(5000), '- '.repeat(5000), '>1. '.repeat(3000), `${' '.repeat(400)}- `].map((lead) => `${lead}<b>`)
  for (const text of deep) {
    const [first = '', second = '', third = '', ...more] = render(`*a*\n\n${text}\n\n*b*`)
    expect([first, third, more]).toEqual(['<p><em>a</em></p>', '<p><em>b</em></p>', []])
    expect(second).toContain('<pre tabindex="0"><code>')
    expect(second).toContain('&lt;b&gt;')
    expect(second).not.toContain('<b>')
  }
  expect(html('- '.repeat(200))).toBe('<hr>')
  expect(html(`${'> '.repeat(20)}a`)).toContain('<blockquote><p>a</p></blockquote>')
})
