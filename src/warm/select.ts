/** Which images a job is about: those that are named, and those that upstream has and a selection means. */
import { isTag, type Repository } from '../oci/reference.ts'
import { WarmFailure } from './events.ts'
import type { Verdict, WarmSurroundings } from './job.ts'
import { MAX_IMAGES, sourceText, type TagSource } from './sources.ts'
import { createTagFilter } from './tag-filter.ts'

/** Most tags of one repository that are looked at. */
const MAX_TAGS = 100_000
/** A page of a list; what distribution gives at most. */
const PAGE_SIZE = 1000
const MAX_PAGES = 1000

/**
 * The images of a selection that rules let in; the others are counted, as the list of tags that a client
 * gets has them not either.
 * @throws {WarmFailure} where there is none, and as `explain` and `Mirror.tags` do
 */
export async function selectImages(
  source: TagSource,
  { mirror, explain, onEvent, signal }: WarmSurroundings,
): Promise<string[]> {
  const name = sourceText(source)
  const filter = createTagFilter(source)
  const about = await explain(source.repository)
  if (about.digest !== undefined) throw new WarmFailure('invalid', `${name} names a digest.`)
  const meant = filter(await listTags(about, { mirror, signal }))
  const images: string[] = []
  for (const tag of meant) {
    signal.throwIfAborted()
    const { image, allowed } = await explain(`${about.upstream}/${about.repository}:${tag}`)
    if (allowed) images.push(image)
    if (images.length > MAX_IMAGES) break
  }
  const refused = meant.length - images.length
  onEvent({ event: 'tags-selected', source: name, tags: meant.length, refused })
  if (images.length > 0) return images
  if (refused > 0) throw new WarmFailure('denied', 'No rule lets any of its tags in.')
  throw new WarmFailure('upstream', 'Upstream has no such tag.')
}

async function listTags(
  { upstream, repository }: Verdict,
  { mirror, signal }: Pick<WarmSurroundings, 'mirror' | 'signal'>,
): Promise<string[]> {
  const key = { upstream, repository: repository as Repository }
  const tags = new Set<string>()
  let listed = 0
  let query: string | undefined = `n=${PAGE_SIZE}`
  for (let page = 0; query !== undefined; page += 1) {
    signal.throwIfAborted()
    const found = await mirror.tags(key, query)
    listed += found.tags.length
    // What is no tag can be pulled by nobody.
    for (const tag of found.tags.filter(isTag)) tags.add(tag)
    if (listed > MAX_TAGS || page > MAX_PAGES) {
      throw new WarmFailure(
        'invalid',
        `${upstream}/${repository} has more than ${MAX_TAGS} tags: name the images instead.`,
      )
    }
    query = found.nextQuery
  }
  return [...tags]
}
