// What differs between hey-api's clients for fetch and for axios: here for fetch.
import { createClient } from "./taller/client/index.js";

export const connect = (baseUrl: string, auth?: () => string) => createClient({ baseUrl, auth });

export const statusOf = (result: { response?: Response }) => result.response?.status;
