import { startSiteAgent } from '../../../fl-site/agent';
import { REAL_PACING } from '../../../fl-site/backoff';
import { checkSiteConfiguration, type SiteConfigurationInput } from '../../../fl-site/configuration';
import { dialInsecure } from './fake-coordinator';

/** An agent as a process of its own, to be killed. Arguments: folder of the site, its configuration as JSON. */
async function main(folder: string, input: string): Promise<void> {
  const configuration = checkSiteConfiguration(JSON.parse(input) as SiteConfigurationInput, folder);
  const agent = await startSiteAgent(configuration, {
    dial: dialInsecure,
    pacing: { ...REAL_PACING, random: () => 0.05 },
  });
  process.once('SIGTERM', () => void agent.close());
  await agent.closed;
}

void main(process.argv[2], process.argv[3]);
