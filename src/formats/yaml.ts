/** YAML, with the places of what is in it. The only file that knows its library. */
export {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
  stringify,
  type YAMLMap,
  type YAMLParseError,
} from 'yaml'
