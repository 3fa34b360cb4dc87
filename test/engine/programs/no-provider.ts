import { Thing } from './thing';

new Thing('orphan', 'a');
