import { documentsOf, isBound } from '../documents';
import { allowedAccounts, at, isText, providerInput, texts } from '../properties';
import type { Finding, PlannedResource, ResourceRule, StackRule } from '../rule';

const ARN = /^arn:[^:]+:(?<service>[^:]*):[^:]*:(?<account>\d{12}):/;

export const explicitProvider: ResourceRule = {
  name: 'explicit-provider',
  rule: 'Every resource names its provider, and the provider refuses to work in any account but one.',
  *check(resource) {
    const { type, provider } = resource;
    if (!type.startsWith('aws:')) return;
    if (provider === undefined || /^default(_|$)/.test(provider.name)) {
      const way = 'pass the provider of the stack; the default one follows whatever credentials lie in the shell';
      yield { field: 'provider', value: provider?.name, wayOut: way };
      return;
    }
    const accounts = allowedAccounts(resource);
    if (accounts.length !== 1 || !/^\d{12}$/.test(accounts[0])) {
      yield {
        field: `provider ${provider.name}: allowedAccountIds`,
        value: accounts,
        wayOut: 'list exactly the one account of the stack',
      };
    }
    for (const role of rolesOf(provider.props)) {
      const account = ARN.exec(role)?.groups?.account;
      if (account !== accounts[0]) {
        yield {
          field: `provider ${provider.name}: assumeRoles`,
          value: role,
          wayOut: `take a role of account ${accounts[0]}`,
        };
      }
    }
  },
};

function rolesOf(props: PlannedResource['props']): string[] {
  const roles = providerInput(props, 'assumeRoles');
  return Array.isArray(roles) ? roles.map((role) => at(role, 'roleArn')).filter(isText) : [];
}

/**
 * Services whose resources of another account a stack may name, and why. Everything else that carries a foreign account number is
 * a mistake, or a way for data to leave.
 */
const FOREIGN: Readonly<Record<string, string>> = {
  ecr: 'images come from the mirror of the platform account',
};

/** Resources whose purpose is to let other accounts in. */
const SHARING: Readonly<Record<string, string>> = {
  'aws:ecr/repositoryPolicy:RepositoryPolicy': 'the mirror is read by every site',
  'aws:ec2/vpcEndpointService:VpcEndpointService': 'each site connects its own endpoint to the coordinator',
  'aws:organizations/policy:Policy': 'a control policy speaks of all accounts',
};

/** Statements, by Sid, that let named roles of another account in, and why; each must be bound to the organisation. */
const LET_IN: Readonly<Record<string, string>> = {
  DeployersOfTheOrganization: "the organisation's pipeline takes the deployment role of each account",
};

export const ownAccount: ResourceRule = {
  name: 'own-account',
  rule: 'A stack works in its own account and lets no other account in.',
  *check(resource) {
    const [account] = allowedAccounts(resource);
    if (account === undefined || SHARING[resource.type] !== undefined) return;
    for (const [field, value] of Object.entries(resource.props)) {
      if (documentsOf(resource).some((document) => document.field === field)) continue;
      for (const arn of texts(value)) yield* foreign(field, arn, account);
    }
    for (const { field, statements } of documentsOf(resource)) {
      for (const statement of statements) {
        const { sid, effect, principals, resources } = statement;
        if (effect !== 'Allow' || (LET_IN[sid] !== undefined && isBound(statement))) continue;
        for (const arn of [...principals.aws, ...resources]) yield* foreign(`${field}.Statement.${sid}`, arn, account);
      }
    }
  },
};

function* foreign(field: string, text: string, own: string): Iterable<Finding> {
  const { account = /^\d{12}$/.test(text) && field.includes('Statement') ? text : own, service = '' } =
    ARN.exec(text)?.groups ?? {};
  if (account === own || FOREIGN[service] !== undefined) return;
  yield { field, value: text, wayOut: `name something of account ${own}, the account of the stack` };
}

/** The organisation alone works in several accounts: it makes them. */
export const oneAccount: StackRule = {
  name: 'one-account',
  rule: 'All resources of a stack are in one account; only the stack that makes the accounts works in several.',
  *checkStack(resources) {
    if (resources.some(({ type }) => type.startsWith('aws:organizations/'))) return;
    const made = resources.filter(({ type }) => type.startsWith('aws:'));
    const [first] = made.flatMap(allowedAccounts);
    for (const resource of made) {
      const other = allowedAccounts(resource).find((account) => account !== first);
      if (other !== undefined) {
        yield { of: resource, field: 'provider', value: other, wayOut: `use the provider of account ${first}` };
      }
    }
  },
};

/** A statement of a resource's policy that lets everybody of another account in would pass for a name; see {@link isBound}. */
export const boundPrincipals: ResourceRule = {
  name: 'bound-principals',
  rule: 'A policy that lets a service act says for which account it may.',
  *check(resource) {
    for (const { field, statements } of documentsOf(resource)) {
      if (field === 'assumeRolePolicy') continue;
      for (const statement of statements) {
        const { sid, effect, principals, condition } = statement;
        if (effect !== 'Allow' || principals.services.length === 0) continue;
        const isEncryptionContext = texts(Object.values(condition).map(Object.keys)).some((key) =>
          key.startsWith('kms:EncryptionContext:'),
        );
        if (!isBound(statement) && !isEncryptionContext) {
          yield {
            field: `${field}.Statement.${sid}.Condition`,
            value: principals.services,
            wayOut: 'add aws:SourceAccount, or another account could make the service act here',
          };
        }
      }
    }
  },
};
