// What differs between hey-api's clients for fetch and for axios: here for axios.
import { createClient } from "./taller/client/index.js";

export const connect = (baseURL: string, auth?: () => string) => createClient({ baseURL, auth });

// An error has the response in it, an answer is one.
export const statusOf = (result: { status?: number; response?: { status: number } }) =>
  result.response?.status ?? result.status;
