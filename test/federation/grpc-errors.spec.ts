import assert from 'node:assert/strict';
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { ClaraError, ERROR_CODES, type Fault } from '../../base/errors';
import { ERROR_METADATA, fromServiceError, toServiceError } from '../../federation/grpc-errors';

/** What grpc-js makes of a status that arrived. */
const arrived = (sent: ReturnType<typeof toServiceError>): ServiceError =>
  Object.assign(new Error(`${sent.code}: ${sent.details}`), sent);

const fault = fc.record<Fault>(
  { path: fc.string(), value: fc.string(), rule: fc.string() },
  { requiredKeys: ['path', 'rule'], noNullPrototype: true },
);

describe('errors over gRPC', () => {
  it('arrive with the code, the sentence and the faults that were thrown', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ERROR_CODES),
        fc.string({ maxLength: 300 }),
        fc.array(fault, { maxLength: 20 }),
        (code, message, faults) => {
          const back = fromServiceError(arrived(toServiceError(new ClaraError(code, message, { faults }))));
          assert.deepEqual([back.code, back.message, back.faults], [code, message, faults]);
        },
      ),
    );
  });

  it('stay far below what HTTP/2 peers accept as trailers, whatever is thrown', () => {
    const faults = Array.from({ length: 5000 }, (_, i) => ({
      path: `tensor.${i}`,
      value: 'ä'.repeat(80),
      rule: 'é'.repeat(200),
    }));
    const sent = toServiceError(ClaraError.ofFaults('update', faults));
    const [bytes] = sent.metadata.get(ERROR_METADATA);
    assert.ok(bytes.length <= 8192 && sent.details.length <= 4000);
    const back = fromServiceError(arrived(sent));
    assert.deepEqual(back.faults[0], faults[0]);
    const kept = back.faults.length - 1;
    assert.ok(kept > 0);
    assert.equal(back.faults.at(-1)?.rule, `and ${5000 - kept} more faults`);
  });

  it('tell nothing of the server but the code when the error is not of the family', () => {
    const system = Object.assign(new Error("ENOSPC: no space left on device, write '/srv/secret'"), { code: 'ENOSPC' });
    for (const [thrown, code] of [
      [system, 'out-of-space'],
      [new TypeError('x is not a function'), 'internal'],
      ['text', 'internal'],
    ] as const) {
      const sent = toServiceError(thrown);
      assert.equal(sent.details, `the coordinator could not do this (${code}); its log says why`);
      assert.equal(fromServiceError(arrived(sent)).code, code);
    }
  });

  it('of gRPC itself become one sentence that names the other end', () => {
    const own = (code: status, details: string): ClaraError =>
      fromServiceError(arrived({ code, details, metadata: new Metadata() }), 'coordinator fed:1');
    const shown = [
      own(status.UNAVAILABLE, 'Connection dropped'),
      own(status.DEADLINE_EXCEEDED, 'x'),
      own(status.UNKNOWN, 'odd'),
    ];
    assert.deepEqual(
      shown.map(({ code, message }) => [code, message]),
      [
        ['unavailable', 'coordinator fed:1 cannot be reached: Connection dropped'],
        ['deadline-exceeded', 'coordinator fed:1 did not answer in time'],
        ['internal', 'coordinator fed:1: odd'],
      ],
    );
  });

  it('with damaged or oversized details fall back to the status', () => {
    const details = [
      '{',
      '{"code":"nonsense"}',
      '[]',
      JSON.stringify({ code: 'corrupt', faults: 'x' }),
      'x'.repeat(9000),
    ];
    for (const text of details) {
      const metadata = new Metadata();
      metadata.set(ERROR_METADATA, Buffer.from(text));
      assert.equal(fromServiceError(arrived({ code: status.NOT_FOUND, details: 'gone', metadata })).code, 'not-found');
    }
  });

  it('leave other errors what they are', () => {
    const known = new ClaraError('corrupt', 'bad');
    assert.equal(fromServiceError(known), known);
    assert.equal(fromServiceError(Object.assign(new Error('no'), { code: 'ECONNREFUSED' })).code, 'unavailable');
  });
});
