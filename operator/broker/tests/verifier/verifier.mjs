// An authorisation server of other people's making that verifies client assertions (RFC 7523) with the certificate's key.
// CLIENTS: JSON list of {id, algorithm, certificate (PEM)}. TOKEN_PATH: path of the token endpoint. Prints its port.
import crypto from 'node:crypto';
import http from 'node:http';
import { Provider } from 'oidc-provider';

const scope = 'https://graph.microsoft.com/.default';
const clients = JSON.parse(process.env.CLIENTS).map(({ id, algorithm, certificate }) => ({
  client_id: id,
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  scope,
  token_endpoint_auth_method: 'private_key_jwt',
  token_endpoint_auth_signing_alg: algorithm,
  jwks: { keys: [{ ...new crypto.X509Certificate(certificate).publicKey.export({ format: 'jwk' }), use: 'sig' }] },
}));

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients,
    scopes: [scope],
    clientAuthMethods: ['private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'PS256'] },
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    routes: { token: process.env.TOKEN_PATH },
  });
  provider.on('grant.error', (ctx, error) => console.error('refused', error.error_detail || error.message));
  server.on('request', provider.callback());
  console.log(port);
});
