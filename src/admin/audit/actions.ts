/** Where a request says what it means: in its path, or in a field of its body (the first of these that is a text). */
type Place = Readonly<{ path: string }> | Readonly<{ body: readonly string[] }>

export type AuditedRoute = Readonly<{
  action: string
  target?: Place
  /** The end of the path tells what is done, and is no part of the target. */
  byEnd?: Readonly<Record<string, string>>
  /** The field of the body that says who asks, where nobody is logged in. */
  username?: string
  /** Only requests with this in their query. */
  query?: Readonly<Record<string, string>>
}>

const id = { path: 'id' }
const inBody = (...body: readonly string[]) => ({ body })

/** Whatever changes the service, its users or their keys, or reads what others asked. */
export const auditedRoutes: Readonly<Record<string, AuditedRoute>> = {
  'POST /auth/register': { action: 'register', username: 'username' },
  'POST /auth/login': { action: 'login', username: 'username' },
  'POST /auth/logout': { action: 'logout' },
  'POST /auth/password': { action: 'password-change' },
  'DELETE /auth/sessions': { action: 'session-end-others' },
  'DELETE /auth/sessions/:id': { action: 'session-end', target: id },
  'POST /auth/keys': { action: 'key-add', target: inBody('name') },
  'DELETE /auth/keys/:id': { action: 'key-remove', target: id },

  'POST /admin/users': { action: 'user-add', target: inBody('username') },
  'PATCH /admin/users/:id': { action: 'user-change', target: id },
  'DELETE /admin/users/:id': { action: 'user-remove', target: id },
  'DELETE /admin/users/:id/sessions': { action: 'user-sessions-end', target: id },
  'DELETE /admin/keys/:id': { action: 'key-remove', target: id },
  'GET /admin/predictions': { action: 'prediction-list' },
  'GET /admin/predictions/:id': { action: 'prediction-read', target: id },
  'DELETE /admin/predictions/:id': { action: 'prediction-remove', target: id },
  'GET /feedback': { action: 'feedback-export', query: { format: 'jsonl' } },

  'POST /model': { action: 'model-select', target: inBody('model_name', 'provider') },
  'POST /admin/reload': { action: 'reload' },
  'POST /models/*': {
    action: 'model-change',
    byEnd: { load: 'model-load', unload: 'model-unload' },
    target: { path: '*' },
  },
  'POST /models/pull': { action: 'model-pull', target: inBody('name') },
  'DELETE /models/pulls/:id': { action: 'model-pull-cancel', target: id },
  'DELETE /models/jobs/:id': { action: 'model-job-cancel', target: id },
  'POST /models/quantize': { action: 'model-quantize', target: inBody('model') },
  'POST /models/merge': { action: 'model-merge', target: inBody('model') },
  'DELETE /models/*': { action: 'model-remove', target: { path: '*' } },
  'POST /api/pull': { action: 'model-pull', target: inBody('model', 'name') },
  'POST /api/copy': { action: 'model-copy', target: inBody('source') },
  'DELETE /api/delete': { action: 'model-remove', target: inBody('model', 'name') },

  'POST /datasets': { action: 'dataset-add', target: inBody('name') },
  'DELETE /datasets/:id': { action: 'dataset-remove', target: id },
  'GET /datasets/:id/rows': { action: 'dataset-read', target: id },
  'GET /datasets/:id/export': { action: 'dataset-export', target: id },
  'POST /training/runs': { action: 'training-start', target: inBody('name', 'dataset') },
  'POST /training/runs/:id/pause': { action: 'training-pause', target: id },
  'POST /training/runs/:id/cancel': { action: 'training-cancel', target: id },
  'POST /training/runs/:id/resume': { action: 'training-resume', target: id },
  'DELETE /training/runs/:id': { action: 'training-remove', target: id },
  'POST /training/evaluations': { action: 'evaluation-start', target: inBody('candidate', 'run', 'b') },
  'POST /training/evaluations/:id/cancel': { action: 'evaluation-cancel', target: id },
  'DELETE /training/evaluations/:id': { action: 'evaluation-remove', target: id },
  'POST /rollout': { action: 'rollout-start', target: inBody('alias') },
  'PATCH /rollout/:id': { action: 'rollout-change', target: id },
  'POST /rollout/:id/promote': { action: 'rollout-promote', target: id },
  'POST /rollout/:id/rollback': { action: 'rollout-roll-back', target: id },
  'POST /rollout/rollback': { action: 'rollout-roll-back' },
  'POST /rollout/:id/end': { action: 'rollout-end', target: id },
}

/** Routes beside those that change nothing of the service: they read it, or are always refused. */
export const quietRoutes: readonly string[] = [
  'GET /auth/state',
  'GET /auth/me',
  'GET /auth/usage',
  'GET /auth/sessions',
  'GET /auth/keys',
  'GET /admin/users',
  'GET /admin/keys',
  'GET /admin/egress',
  'GET /admin/history',
  'GET /admin/audit',
  'GET /admin/logs',
  'GET /admin/overview',
  'GET /models/pulls',
  'GET /models/pulls/:id',
  'GET /models/jobs',
  'GET /models/jobs/:id',
  'GET /datasets',
  'GET /datasets/:id',
  'GET /training/runs',
  'GET /training/latest',
  'GET /training/runs/:id',
  'GET /training/runs/:id/metrics',
  'GET /training/evaluations',
  'GET /training/evaluations/:id',
  'GET /rollout',
  'GET /rollout/:id',
  'GET /rollout/events',
  'GET /rollout/:id/events',
  'POST /api/create',
  'POST /api/push',
  'POST /api/blobs/:digest',
]
