// @ts-check
import { createAccountDialog } from './account-dialog.js'
import { create } from './elements.js'
import { currentLanguage, switchLanguage } from './language.js'
import { isSignInNeeded, load, send } from './service.js'

/** @typedef {import('./service.js').User} User */

/**
 * Who is signed in, with the controls for it and for the language in `navigation`. The token itself lies in a cookie that no
 * script can read.
 * @param {Readonly<{ navigation: HTMLElement, page: 'chat' | 'admin', onChange: (user: User | undefined) => void }>} options
 */
export function createSession({ navigation, page, onChange }) {
  const dialog = createAccountDialog({ onSignedIn: () => void refresh() })
  const account = create('span', { class: 'account' })
  navigation.append(createLanguageSwitch(), account)

  async function refresh() {
    show(await findUser())
  }

  /** @param {User | undefined} user */
  function show(user) {
    account.replaceChildren(...controls(user))
    onChange(user)
  }

  /** @param {User | undefined} user */
  function controls(user) {
    const signIn = () => create('button', { class: 'plain', say: 'signIn', attributes: { type: 'button' }, click: dialog.open })
    const links = page === 'admin' ? [create('a', { say: 'chat', attributes: { href: '/' } })] : []
    if (user === undefined) return [...links, signIn()]
    if (page === 'chat' && user.role === 'admin')
      links.push(create('a', { say: 'administration', attributes: { href: '/admin' } }))
    const signOut = create('button', {
      class: 'plain',
      say: 'signOut',
      attributes: { type: 'button' },
      click: () => void leave(),
    })
    return [...links, create('span', { class: 'quiet name', text: user.username }), signOut]
  }

  async function leave() {
    // A session that is over already is as good as left.
    await send('/auth/logout', { method: 'POST' }).catch(() => {})
    show(undefined)
  }

  return { refresh, openSignIn: dialog.open }
}

/** @returns {Promise<User | undefined>} */
async function findUser() {
  try {
    return await load('/auth/me')
  } catch (error) {
    if (!isSignInNeeded(error)) console.error(error)
    return undefined
  }
}

function createLanguageSwitch() {
  const buttons = /** @type {const} */ ([
    ['es', 'Español'],
    ['en', 'English'],
  ]).map(([language, name]) =>
    create('button', {
      class: 'plain',
      text: language.toUpperCase(),
      attributes: { type: 'button', lang: language, title: name, 'aria-label': name, value: language },
      click: () => choose(language),
    }),
  )
  /** @param {'es' | 'en'} language */
  function choose(language) {
    switchLanguage(language)
    mark()
  }
  function mark() {
    for (const button of buttons) button.setAttribute('aria-pressed', String(button.value === currentLanguage()))
  }
  mark()
  return create('span', { class: 'languages', attributes: { role: 'group', 'data-label': 'language' } }, ...buttons)
}
