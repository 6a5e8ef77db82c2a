// An OpenID provider that is not ours, laid out like Microsoft's: one issuer below the tenant, a public client with PKCE.
// Signs in whoever comes, without a question. Prints its address on one line when it listens.
import http from 'node:http';
import { Provider, interactionPolicy } from 'oidc-provider';

const { TENANT, CLIENT, ROLE } = process.env;
const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const origin = `http://127.0.0.1:${server.address().port}`;
  const policy = interactionPolicy.base();
  policy.add(new interactionPolicy.Prompt({ name: 'select_account', requestable: true }), 0);
  const provider = new Provider(`${origin}/${TENANT}/v2.0`, {
    clients: [{
      client_id: CLIENT, application_type: 'native', token_endpoint_auth_method: 'none',
      redirect_uris: ['http://localhost/sv0-consent'], grant_types: ['authorization_code'], response_types: ['code'],
    }],
    routes: { authorization: '/oauth2/v2.0/authorize', token: '/oauth2/v2.0/token', jwks: '/discovery/v2.0/keys' },
    claims: { openid: ['sub', 'tid', 'oid', 'wids'], profile: ['name'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ sub: id, tid: TENANT, oid: id, wids: [ROLE] }) }),
    interactions: { policy, url: (ctx, interaction) => `/${TENANT}/interaction/${interaction.uid}` },
    features: { devInteractions: { enabled: false } },
  });
  const answer = provider.callback();
  server.on('request', async (req, res) => {
    const prefix = [`/${TENANT}/v2.0`, `/${TENANT}`].find((start) => req.url.startsWith(`${start}/`));
    if (req.url.startsWith(`/${TENANT}/interaction/`)) {
      const { params } = await provider.interactionDetails(req, res);
      const accountId = '00000000-0000-0000-0000-0000000000ad';
      const grant = new provider.Grant({ accountId, clientId: params.client_id });
      grant.addOIDCScope('openid profile');
      const result = { login: { accountId }, select_account: {}, consent: { grantId: await grant.save() } };
      return provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
    }
    if (prefix) {
      req.originalUrl = req.url;
      req.url = req.url.slice(prefix.length);
    }
    return answer(req, res);
  });
  console.log(origin);
});
// It ends with whoever started it.
process.stdin.on('end', () => process.exit()).resume();
