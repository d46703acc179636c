/** The keys of the file as a JSON Schema, by which editors complete and check it. */
import { z } from 'zod'
import { REFERENCE, type KeyReference } from './reference.ts'
import { fileShape } from './shape.ts'

/** What is read of a schema here; the rest of it stays as it is. */
interface Schema {
  description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
}

/** JSON Schema 2020-12. What values mean is not in it: that says `entrepot config check`. */
export function configSchema(): Readonly<Record<string, unknown>> {
  const { $schema, ...schema } = z.toJSONSchema(fileShape, { io: 'input' })
  describe(schema as Schema, '')
  return { $schema, title: 'mirrors.yml of Entrepot', ...schema }
}

/** @param place key whose mapping it is; empty at the top */
function describe(schema: Schema, place: string): void {
  for (const [key, value] of Object.entries(schema.properties ?? {})) {
    const said = REFERENCE[place]?.[key]
    if (said !== undefined) value.description = sentence(said)
    describe(value, key in REFERENCE ? key : place)
  }
  const { additionalProperties: others, items, anyOf = [] } = schema
  for (const inner of [others, items, ...anyOf]) {
    if (typeof inner === 'object') describe(inner, place)
  }
}

function sentence({ meaning, default: byDefault }: KeyReference): string {
  const text = `${meaning.slice(0, 1).toUpperCase()}${meaning.slice(1)}.`
  return byDefault === undefined ? text : `${text} Default: ${byDefault}.`
}
