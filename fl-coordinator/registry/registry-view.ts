import { create } from '@bufbuild/protobuf';
import {
  type ModelSiteView,
  ModelSiteViewSchema,
  type ModelVersionView,
  ModelVersionViewSchema,
} from '../../federation/gen/federation/v1/federation_pb';
import type { RegisteredModel, RegistryState } from './registry-state';

/** Versions and sites as operators see them. */

export function versionView(state: RegistryState, { card, stage }: RegisteredModel): ModelVersionView {
  const { model, version, digest, bytes, run, round, registeredAt, operator } = card;
  const promotedTo = [...(state.sites.get(model)?.values() ?? [])]
    .filter(({ promotion }) => promotion.version === version)
    .map(({ site }) => site)
    .sort();
  return create(ModelVersionViewSchema, {
    ...{ model, version, stage, digest, run, round, registeredAt, operator, promotedTo },
    bytes: BigInt(bytes),
    cardJson: JSON.stringify(card),
  });
}

export function siteViews(state: RegistryState, model: string): ModelSiteView[] {
  return [...(state.sites.get(model)?.values() ?? [])]
    .sort((a, b) => (a.site < b.site ? -1 : 1))
    .map(({ promotion, ...one }) => create(ModelSiteViewSchema, { ...one, version: promotion.version }));
}
