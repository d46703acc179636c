/** What is counted, as it is published: by name, in words, and by which labels. */
export const METRICS = {
  requests: {
    name: 'entrepot_requests_total',
    help: 'Requests answered, by what was asked, which upstream, how it was served and the status class.',
    labelNames: ['kind', 'upstream', 'outcome', 'status'],
  },
  duration: {
    name: 'entrepot_request_duration_seconds',
    help: 'Seconds from the request to the last byte of the answer.',
    labelNames: ['kind'],
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300],
  },
  clientBytes: {
    name: 'entrepot_client_bytes_total',
    help: 'Body bytes sent to clients.',
    labelNames: ['upstream'],
  },
  upstreamBytes: {
    name: 'entrepot_upstream_bytes_total',
    help: 'Body bytes received from upstreams.',
    labelNames: ['upstream'],
  },
  upstreamRequests: {
    name: 'entrepot_upstream_requests_total',
    help: 'Requests sent to upstreams, redirects included.',
    labelNames: ['upstream'],
  },
  upstreamFailures: {
    name: 'entrepot_upstream_failures_total',
    help: 'Operations on upstreams that failed, by reason.',
    labelNames: ['upstream', 'reason'],
  },
  tokenRequests: {
    name: 'entrepot_upstream_token_requests_total',
    help: 'Requests to token endpoints of upstreams.',
    labelNames: ['upstream'],
  },
  rateLimitRemaining: {
    name: 'entrepot_upstream_ratelimit_remaining',
    help: 'Pulls left, as upstream last said (ratelimit-remaining), by account.',
    labelNames: ['upstream', 'account'],
  },
  rateLimit: {
    name: 'entrepot_upstream_ratelimit_limit',
    help: 'Pulls in a window, as upstream last said (ratelimit-limit), by account.',
    labelNames: ['upstream', 'account'],
  },
  hedges: {
    name: 'entrepot_upstream_hedges_total',
    help: 'Second requests to another endpoint because the first was slow, by who answered first.',
    labelNames: ['upstream', 'winner'],
  },
  prefetches: {
    name: 'entrepot_prefetches_total',
    help: 'Blobs fetched in the background to complete an image, by result.',
    labelNames: ['upstream', 'result'],
  },
  prefetchesWaiting: {
    name: 'entrepot_prefetches_waiting',
    help: 'Blobs that wait to be fetched in the background.',
  },
  passedThrough: {
    name: 'entrepot_passed_through_total',
    help: 'Answers that went from upstream to the client without being stored, by reason.',
    labelNames: ['reason'],
  },
  storageFailures: {
    name: 'entrepot_storage_failures_total',
    help: 'Operations on the data folder that failed, by kind of failure.',
    labelNames: ['failure'],
  },
  scrubbedBytes: {
    name: 'entrepot_scrubbed_bytes_total',
    help: 'Bytes of stored files that were read again and checked.',
  },
  damagedBlobs: {
    name: 'entrepot_damaged_blobs_total',
    help: 'Stored files whose bytes were no longer those of their name, by who noticed.',
    labelNames: ['found'],
  },
  healedBlobs: {
    name: 'entrepot_healed_blobs_total',
    help: 'Damaged files that were fetched again from upstream.',
  },
  fillsRunning: {
    name: 'entrepot_fills_running',
    help: 'Blob downloads in flight.',
  },
  fills: {
    name: 'entrepot_fills_total',
    help: 'Blob downloads that ended, by result.',
    labelNames: ['upstream', 'result'],
  },
  joinedReaders: {
    name: 'entrepot_fill_joined_readers_total',
    help: 'Clients that were served from a download which another client had started.',
    labelNames: ['upstream'],
  },
  cacheBytes: {
    name: 'entrepot_cache_bytes',
    help: 'Bytes of content in the store.',
  },
  evictedBytes: {
    name: 'entrepot_evicted_bytes_total',
    help: 'Bytes removed to keep the store under its budget.',
  },
  logins: {
    name: 'entrepot_logins_total',
    help: 'Credentials of users and robots that were looked at, by result; held back: too many failed before.',
    labelNames: ['result'],
  },
  accessRequests: {
    name: 'entrepot_access_requests_total',
    help: 'Names that were refused to a caller for the first time.',
  },
  accessRequestsOpen: {
    name: 'entrepot_access_requests_open',
    help: 'Refused names that nobody has approved or dismissed.',
  },
  notifications: {
    name: 'entrepot_notifications_total',
    help: 'Messages to the webhook, by result.',
    labelNames: ['result'],
  },
  warmRuns: {
    name: 'entrepot_warm_runs_total',
    help: 'Jobs that fetched images before anybody pulled them, by result.',
    labelNames: ['result'],
  },
  warmImages: {
    name: 'entrepot_warm_images_total',
    help: 'Images of these jobs, by result.',
    labelNames: ['result'],
  },
  warmedAt: {
    name: 'entrepot_warm_last_run_timestamp_seconds',
    help: 'When the last scheduled job ended, in seconds since 1970; 0: none has.',
  },
  cacheBudget: {
    name: 'entrepot_cache_budget_bytes',
    help: 'Bytes that the store may take; 0: no limit.',
  },
  diskFree: {
    name: 'entrepot_disk_free_bytes',
    help: 'Bytes that may still be written to the disk of the data folder.',
  },
  offline: {
    name: 'entrepot_offline',
    help: '1 while no upstream is asked at all, else 0.',
  },
  endpoints: {
    name: 'entrepot_upstream_endpoints',
    help: 'Endpoints by upstream and state; resting: others are asked first for a while.',
    labelNames: ['upstream', 'state'],
  },
  processCpu: {
    name: 'entrepot_process_cpu_seconds_total',
    help: 'CPU time of all processes, in seconds.',
  },
  eventLoopBusy: {
    name: 'entrepot_event_loop_busy_seconds_total',
    help: 'Time that event loops had something to do, in seconds: one per second and process is all of it.',
  },
  processMemory: {
    name: 'entrepot_process_resident_memory_bytes',
    help: 'Bytes of memory that all processes hold.',
  },
  processStart: {
    name: 'entrepot_process_start_time_seconds',
    help: 'When the first process was started, in seconds since 1970.',
    aggregator: 'min',
  },
  processes: {
    name: 'entrepot_processes',
    help: 'Processes that serve, or fetch.',
  },
} as const
