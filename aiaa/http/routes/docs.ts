import { modelObjectOf } from '../../registry/model-entry';
import { listModels } from '../../registry/model-registry';
import type { AnnotationContext } from '../context';
import { renderDocs } from '../docs-page';

/** The page itself needs nothing but its own style. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** `GET /` and `GET /docs/`: the page that explains the API and shows what this server has to offer right now. */
export async function showDocs(c: AnnotationContext): Promise<Response> {
  const { workspace, limits, prefix } = c.var.services;
  const models = (await listModels(workspace, { onBroken: () => {} })).map(modelObjectOf);
  const page = renderDocs({
    address: addressOf(c, prefix),
    models,
    uploadBytes: limits.uploadBytes,
    sessionSeconds: limits.sessionSeconds,
  });
  return c.html(page, 200, {
    'content-security-policy': POLICY,
    'referrer-policy': 'no-referrer', // the address may carry the secret prefix
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  });
}

/** The address as the reader's browser sees it, also behind a load balancer that ends TLS. */
function addressOf(c: AnnotationContext, prefix: readonly string[]): string {
  const scheme = c.req.header('x-forwarded-proto') === 'https' ? 'https' : 'http';
  return `${scheme}://${new URL(c.req.url).host}/${prefix.map((segment) => `${segment}/`).join('')}`;
}
