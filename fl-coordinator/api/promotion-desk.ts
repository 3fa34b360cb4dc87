import { create } from '@bufbuild/protobuf';
import {
  ModelAnnouncementSchema,
  ModelReferenceSchema,
  type PromotionStatus,
} from '../../federation/gen/federation/v1/federation_pb';
import type { ModelRegistry } from '../registry/model-registry';
import { openPromotions, SITE_STATES, type SitePromotion } from '../registry/registry-state';
import { uploadedModelKey } from '../runs/object-names';
import type { Download } from './downloads';
import type { SiteConnection, SiteHub } from './site-hub';

/**
 * Tells sites of models that were promoted to them, now or when they connect, until they have taken or refused them. What a
 * site answers is in the registry's journal before anybody sees it.
 */
export class PromotionDesk {
  constructor(
    private readonly registry: ModelRegistry,
    private readonly hub: Pick<SiteHub, 'get'>,
  ) {}

  promoted(sites: readonly string[]): void {
    for (const site of sites) {
      const connection = this.hub.get(site);
      if (connection) this.siteConnected(connection);
    }
  }

  /** Tells a connection what the site has to settle; what it was told already is not told again. */
  siteConnected(connection: SiteConnection): void {
    for (const open of openPromotions(this.registry.state, connection.site)) {
      const what = `promotion ${open.promotion.id}`;
      if (connection.told.has(what)) continue;
      connection.told.add(what);
      connection.send({ case: 'modelAnnouncement', value: this.#announcement(open) });
    }
  }

  /** What a site may download because it was promoted to it. */
  offered(site: string, object: string): Omit<Download, 'offset'> | undefined {
    for (const { promotion } of openPromotions(this.registry.state, site)) {
      const { digest } = this.registry.get(promotion.model, promotion.version).card;
      if (keyOf(digest) === object) return { key: object, digest };
    }
    return undefined;
  }

  async told(site: string, { promotion, state, serving, reason }: PromotionStatus): Promise<void> {
    const known = SITE_STATES.find((one) => one === state);
    // Of another release, or nonsense: nothing follows from it.
    if (known === undefined || known === 'announced' || promotion > BigInt(Number.MAX_SAFE_INTEGER)) return;
    await this.registry.told({ promotion: Number(promotion), site, state: known, serving, reason });
  }

  #announcement({ promotion: { id, model, version } }: SitePromotion) {
    const { digest, bytes, description } = this.registry.get(model, version).card;
    const sha256 = Buffer.from(digest.slice('sha256:'.length), 'hex');
    const reference = { name: model, object: keyOf(digest), size: BigInt(bytes), sha256 };
    return create(ModelAnnouncementSchema, {
      ...{ promotion: BigInt(id), model, version, description },
      reference: create(ModelReferenceSchema, reference),
    });
  }
}

const keyOf = (digest: string): string => uploadedModelKey(digest.slice('sha256:'.length));
