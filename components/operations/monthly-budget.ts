import type * as pulumi from '@pulumi/pulumi';
import * as aws from '../aws';

export interface MonthlyBudgetOptions {
  readonly usd: number;
  /** Everything that carries this tag counts; it must be activated as a cost allocation tag. */
  readonly tag: { readonly key: string; readonly value: string };
  /** @default none: only the address is told */
  readonly topicArn?: pulumi.Input<string>;
  readonly email?: string;
}

/** Tells when 80 % of a month's money are spent, and when more than all of it is to be expected. */
export function monthlyBudget(
  name: string,
  { usd, tag, topicArn, email }: MonthlyBudgetOptions,
  child: pulumi.CustomResourceOptions,
): void {
  const notification = (notificationType: 'ACTUAL' | 'FORECASTED', threshold: number) => ({
    notificationType,
    comparisonOperator: 'GREATER_THAN',
    threshold,
    thresholdType: 'PERCENTAGE',
    subscriberSnsTopicArns: topicArn === undefined ? [] : [topicArn],
    subscriberEmailAddresses: email === undefined ? [] : [email],
  });
  new aws.budgets.Budget(
    `${name}-budget`,
    {
      budgetType: 'COST',
      timeUnit: 'MONTHLY',
      limitAmount: String(usd),
      limitUnit: 'USD',
      costFilters: [{ name: 'TagKeyValue', values: [`user:${tag.key}$${tag.value}`] }],
      notifications: [notification('ACTUAL', 80), notification('FORECASTED', 100)],
    },
    child,
  );
}
