import { Thing, ThingProvider } from './thing';

const provider = new ThingProvider('given');
new Thing('twin', 'a', { provider });
new Thing('twin', 'b', { provider });
