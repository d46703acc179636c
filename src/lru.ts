/** The one importer of the library: bounded memory for what can be asked for again. */
export { LRUCache } from 'lru-cache'
