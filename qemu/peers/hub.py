# SPDX-License-Identifier: GPL-2.0-or-later
"""BuilderHub's instance API: the configuration document and the registration of credentials, over HTTPS with the test CA's
certificate and over plain HTTP (for a proxy on the node's loopback). Like the real hub, it answers 403 to a node that no
operator has allowed yet, until `allowed` is true."""

import copy
import json
import ssl

from .. import pki
from .server import HttpPeer, Response

API = '/api/l1-builder/v1'

DOCUMENT = {
    'instance_name': 'gantry-test-01',
    'public_ip': '203.0.113.7',
    'dns_name': 'gantry-test-01.hub.test',
    'rclone': {
        '__version': 'v1.66.0',
        'access_key_id': 'GANTRYTESTACCESSKEY1',
        'secret_access_key': 'test/Secret+Access&Key=0123456789abcdefgh',
        'bucket_endpoint': 'http://10.77.0.2:9000',
    },
    'rbuilder': {
        '__version': 'v0.1.6',
        'enabled': True,
        'extra_data': 'Gantry & friends <test>',
        'relays': '[[relays]]\nname = "first"\nurl = "https://relay.test/?a=1&b=2"\n',
        'live_builders': '["mp-ordering", "mgp-ordering"]',
        'coinbase_secret_key': '0x' + '5e' * 32,
        'watchdog_timeout_sec': 145,
    },
    'bidding_service': {
        '__version': 'v0.4.3',
        'config#base64': 'W2JpZGRpbmddCm1hcmdpbiA9IDAuMDEK',
        'github_token': 'ghtest-0000',
    },
    'prometheus': {
        '__version': '2.54.0',
        'scrape_interval': '10s',
        'static_configs_default_labels': [
            {'label_key': 'chain', 'label_value': 'testnet'},
            {'label_key': 'vendor', 'label_value': 'qemu'},
        ],
    },
    'haproxy': {'__version': 'v3.0.6', 'rate_limit_privileged_ips': '192.0.2.1 192.0.2.2'},
}
DISK_KEY = 'Test0nlyDiskKey0000000000000000000000000000000000000000000000042'


def server_context(certificate):
    """A TLS server context for one of the committed test certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.path(f'{certificate}.pem'), pki.path(f'{certificate}.key'))
    return context


class Hub(HttpPeer):
    """`document` may change while it runs: a dictionary, or bytes that are served unchanged."""

    name = 'hub'
    settings = ('allowed', 'document')

    def __init__(self, address='10.77.0.1', port=443, plain_port=80, document=None, disk_key=None):
        contexts = {'': 'hub', 'expired': 'hub-expired', 'wrong-name': 'hub-wrong-name',
                    'untrusted': 'hub-untrusted'}
        self._contexts = {kind: server_context(name) for kind, name in contexts.items()}
        super().__init__([(address, port, self._contexts['']), (address, plain_port, None)])
        self.document = copy.deepcopy(DOCUMENT if document is None else document)
        if disk_key is not None:
            self.document['disk_encryption'] = {'key': disk_key}
        self.allowed = True
        self.registered = {}            # service -> the body it was registered with

    def tls_context(self, listener):
        if self.listeners[listener][2] is None:
            return None
        fault = self.faults.get('tls')
        return self._contexts[fault.argument if fault else '']

    def respond(self, request):
        if not request.path.startswith(f'{API}/'):
            return self.error(404, 'not found', request)
        call = request.path.removeprefix(f'{API}/')
        if call == 'measurements' and request.method == 'GET':
            return self._json([])
        if not self.allowed:
            return self.error(403, 'no such instance', request)
        if call == 'configuration' and request.method == 'GET':
            body = self.document
            return Response(body=body, content_type='application/json') if isinstance(body, bytes) else self._json(body)
        if call == 'builders' and request.method == 'GET':
            return self._json([{'ip': '203.0.113.7', 'name': self._name(), 'order_flow_proxy': {}}])
        if call.startswith('register_credentials/') and request.method == 'POST':
            return self._register(call.removeprefix('register_credentials/'), request)
        return self.error(404, 'not found', request)

    def error(self, status, text, request):
        return Response(status, json.dumps({'message': text, 'error': text}).encode(), 'application/json')

    def _name(self):
        return self.document.get('instance_name') if isinstance(self.document, dict) else None

    @staticmethod
    def _json(value):
        return Response(body=json.dumps(value, indent=1).encode(), content_type='application/json')

    def _register(self, service, request):
        wanted = {'instance': 'tls_cert', 'orderflow_proxy': 'ecdsa_pubkey_address', 'rbuilder': 'ecdsa_pubkey_address'}
        try:
            body = json.loads(request.body)
            if service not in wanted or not isinstance(body[wanted[service]], str):
                raise ValueError(service)
        except (ValueError, KeyError, TypeError):
            return self.error(400, 'bad registration', request)
        self.registered[service] = body
        return Response(200, b'', 'application/json')
