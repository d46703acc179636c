/** What a user or robot may be called; the names of the file and those of operators alike. */

const USER_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/

export function isUserName(text: string): boolean {
  return USER_NAME.test(text)
}
