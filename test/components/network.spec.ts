import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addressPlan, isCidr, MOST_ZONES } from '../../components/network/address-plan';
import { ownAccountEndpointPolicy, storageEndpointPolicy } from '../../components/network/endpoint-policies';
import { interfaceEndpoints } from '../../components/network/endpoints';

/** Addresses of a range as a pair of numbers, computed from its text alone. */
function bounds(cidr: string): readonly [bigint, bigint] {
  const [address, bits] = cidr.split('/');
  const first = address.split('.').reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
  return [first, first + (1n << BigInt(32 - Number(bits))) - 1n];
}

const NOTHING = { fargate: false, instances: false, shell: false, bastion: false, startsTasks: false };

describe('address plan', () => {
  const networks = fc
    .tuple(fc.nat({ max: 2 ** 32 - 1 }), fc.integer({ min: 16, max: 24 }), fc.integer({ min: 1, max: MOST_ZONES }))
    .map(([address, bits, zones]) => {
      const first = Math.floor(address / 2 ** (32 - bits)) * 2 ** (32 - bits);
      const octets = [24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256);
      return { cidr: `${octets.join('.')}/${bits}`, zones };
    });

  it('gives every zone a private and a public range, inside the network and apart from all others', () => {
    fc.assert(
      fc.property(networks, ({ cidr, zones }) => {
        const plan = addressPlan(cidr, zones);
        const [from, to] = bounds(cidr);
        const ranges = [...plan.private, ...plan.public].map(bounds).sort((a, b) => (a[0] < b[0] ? -1 : 1));
        assert.equal(ranges.length, 2 * zones);
        ranges.forEach(([first, last], index) => {
          assert.ok(first >= from && last <= to);
          if (index > 0) assert.ok(first > ranges[index - 1][1]);
        });
      }),
    );
  });

  it('moves no range when a zone is added', () => {
    fc.assert(
      fc.property(networks, ({ cidr, zones }) => {
        const all = addressPlan(cidr, MOST_ZONES);
        const some = addressPlan(cidr, zones);
        assert.deepEqual(some.private, all.private.slice(0, zones));
        assert.deepEqual(some.public, all.public.slice(0, zones));
      }),
    );
  });

  it('takes no text that is no range, nor one with bits beyond its prefix', () => {
    for (const text of ['10.0.0.0', '10.0.0.0/33', '10.0.0.256/24', '10.0.0.1/24', 'ten', '']) {
      assert.equal(isCidr(text), false, text);
      assert.throws(() => addressPlan(text, 2), RangeError);
    }
    assert.throws(() => addressPlan('10.0.0.0/16', MOST_ZONES + 1), /has places for 4 zones/);
  });
});

describe('endpoints of an isolated network', () => {
  it('are none where nothing runs', () => {
    assert.deepEqual(interfaceEndpoints(NOTHING), []);
  });

  it('are those of images, logs, secrets and mounts for Fargate, without those of instances', () => {
    const endpoints = interfaceEndpoints({ ...NOTHING, fargate: true });
    for (const service of ['ecr.api', 'ecr.dkr', 'logs', 'secretsmanager', 'kms'])
      assert.ok(endpoints.includes(service));
    for (const service of ['ecs-agent', 'ecs-telemetry', 'ssmmessages']) assert.ok(!endpoints.includes(service));
  });

  it('let instances join their cluster, and shells in', () => {
    const endpoints = interfaceEndpoints({ ...NOTHING, instances: true, shell: true });
    for (const service of ['ecs', 'ecs-agent', 'ecs-telemetry', 'ssmmessages']) assert.ok(endpoints.includes(service));
  });

  it('pass calls of the own account only, and the layers of images', () => {
    const [own] = ownAccountEndpointPolicy('111122223333').Statement;
    assert.deepEqual(own.Condition, { StringEquals: { 'aws:PrincipalAccount': '111122223333' } });
    const layers = storageEndpointPolicy('aws', 'eu-west-2', '111122223333').Statement[1];
    assert.deepEqual(
      [layers.Action, layers.Resource],
      ['s3:GetObject', 'arn:aws:s3:::prod-eu-west-2-starport-layer-bucket/*'],
    );
  });
});
