/** The entry `@civicpress/realtime/realtime-services`. */

export { createRealtimeServer, registerRealtimeServices } from './civicpress.js';
