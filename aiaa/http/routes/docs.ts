import { createHash } from 'node:crypto';
import { modelObjectOf } from '../../registry/model-entry';
import { listModels } from '../../registry/model-registry';
import type { AnnotationContext } from '../context';
import { PAGE_SCRIPT, renderDocs } from '../docs-page';
import { openApiDocument } from '../openapi';
import { meantPath } from '../request-path';

/** The page runs its own script and none else, and calls this server and none else. */
const POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  `script-src 'sha256-${createHash('sha256').update(PAGE_SCRIPT).digest('base64')}'`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** `GET /` and `GET /docs/`: the page that explains the API, shows what this server has to offer right now, and lets one try it. */
export async function showDocs(c: AnnotationContext): Promise<Response> {
  const { workspace, limits, prefixes } = c.var.services;
  const models = (await listModels(workspace, { onBroken: () => {} })).map(modelObjectOf);
  const page = renderDocs({
    address: addressOf(c),
    models,
    uploadBytes: limits.uploadBytes,
    sessionSeconds: limits.sessionSeconds,
    operators: prefixes.length === 0,
  });
  return c.html(page, 200, {
    'content-security-policy': POLICY,
    'referrer-policy': 'no-referrer', // the address may carry the secret prefix
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  });
}

/** `GET /openapi.json`. */
export function showOpenApi(c: AnnotationContext): Response {
  const document = openApiDocument({ address: addressOf(c), operators: c.var.services.prefixes.length === 0 });
  return c.json(document, 200, { 'cache-control': 'no-store' });
}

/** The address as the reader's browser sees it, also behind a load balancer that ends TLS. */
function addressOf(c: AnnotationContext): string {
  const scheme = c.req.header('x-forwarded-proto') === 'https' ? 'https' : 'http';
  const { host, pathname } = new URL(c.req.url);
  const { prefix } = meantPath(pathname, c.var.services.prefixes);
  return `${scheme}://${host}/${prefix.map((segment) => `${segment}/`).join('')}`;
}
