import { installServers, pythonServer } from './server-install';

/** `npm run aws-server`: installs moto, which answers as ECS, STS, CloudWatch and Secrets Manager do, for the tests of a site. */

export const AWS_SERVER = pythonServer('moto 5.2.5', 'moto-5.2.5', 'moto_server', 'moto-requirements.txt');

if (require.main === module) installServers([AWS_SERVER]);
