import { UNKNOWN } from '../known';
import { at, isText, refersTo } from '../properties';
import type { ResourceRule, StackRule } from '../rule';

/** Days: an incident is often found weeks after it began. */
const SHORTEST_RETENTION = 30;

export const logRetention: ResourceRule = {
  name: 'log-retention',
  rule: `Logs are written, are kept for at least ${SHORTEST_RETENTION} days, and are not kept for ever.`,
  *check({ type, props }) {
    if (type === 'aws:cloudwatch/logGroup:LogGroup') {
      const days = props.retentionInDays;
      if (typeof days !== 'number' || days < SHORTEST_RETENTION) {
        yield {
          field: 'retentionInDays',
          value: days,
          wayOut: `set it to ${SHORTEST_RETENTION} or more (0 is for ever)`,
        };
      }
    }
    if (type === 'aws:ec2/flowLog:FlowLog' && props.trafficType !== 'ALL') {
      yield { field: 'trafficType', value: props.trafficType, wayOut: 'set it to ALL' };
    }
    if (type === 'aws:lb/loadBalancer:LoadBalancer' && props.loadBalancerType !== 'network') {
      const enabled = at(props, 'accessLogs.enabled');
      if (enabled !== true) yield { field: 'accessLogs.enabled', value: enabled, wayOut: 'set it to true' };
    }
    if (type === 'aws:cloudtrail/trail:Trail') {
      // A trail of the organisation sees all regions; one of a bucket's objects is where the bucket is.
      const needed = props.isOrganizationTrail === true ? ['isMultiRegionTrail'] : [];
      for (const field of ['enableLogFileValidation', ...needed]) {
        if (props[field] !== true) yield { field, value: props[field], wayOut: 'set it to true' };
      }
      if (props.enableLogging === false) yield { field: 'enableLogging', value: false, wayOut: 'leave it out' };
    }
  },
};

export const flowLogged: StackRule = {
  name: 'flow-logged',
  rule: 'Every network that the stack makes writes a flow log.',
  *checkStack(resources) {
    const logs = resources.filter(({ type }) => type === 'aws:ec2/flowLog:FlowLog');
    for (const vpc of resources.filter(({ type }) => type === 'aws:ec2/vpc:Vpc')) {
      const id = vpc.props.id;
      const logged = logs.some((log) => (isText(id) && log.props.vpcId === id) || refersTo(log, 'vpcId', vpc));
      // A preview does not know the id of a VPC that a remote component makes, nor what it was made from.
      const value = logs.some(({ props }) => props.vpcId === UNKNOWN) ? UNKNOWN : undefined;
      if (!logged)
        yield { of: vpc, field: 'flow log', value, wayOut: 'give it an aws.ec2.FlowLog (components/network)' };
    }
  },
};
