# SPDX-License-Identifier: GPL-2.0-or-later
"""The Azure instance metadata service, with the endpoint that turns a TDREPORT into a quote. It is as strict as the real one
about common mistakes of clients: it requires `Metadata: true`, no X-Forwarded-For, an api-version, and for /acc/tdquote a
Content-Type without parameters. Like the quoting enclave, it refuses a TDREPORT whose MAC is not from the test platform."""

import base64
import binascii
import json

from ..tdx import quote as tdx
from .server import HttpPeer, Response

VERSIONS = ('2019-03-11', '2019-06-01', '2021-02-01', '2021-08-01', '2023-07-01')


class Imds(HttpPeer):
    name = 'imds'
    settings = ('vm_id', 'computer_name', 'pps_type', 'user_data', 'tdquote')

    def __init__(self, address='169.254.169.254', port=80):
        super().__init__([(address, port, None)])
        self.vm_id = 'd2f8a1f4-70c9-4f2c-9d35-0c6b1a9e5f17'
        self.computer_name = 'gantry-test'
        self.pps_type = 'None'
        self.user_data = ''
        self.tdquote = True             # whether /acc/tdquote is there: not on a plain VM

    def instance(self):
        """The instance document."""
        return {
            'compute': {
                'azEnvironment': 'AzurePublicCloud', 'location': 'westeurope', 'name': self.computer_name,
                'osProfile': {'adminUsername': 'gantry', 'computerName': self.computer_name},
                'osType': 'Linux', 'resourceGroupName': 'gantry-test', 'sku': '', 'vmId': self.vm_id,
                'vmSize': 'Standard_DC16es_v6', 'userData': self.user_data,
                'securityProfile': {'encryptionAtHost': 'false', 'secureBootEnabled': 'false',
                                    'securityType': 'ConfidentialVM', 'virtualTpmEnabled': 'true'},
                'tagsList': [{'name': 'purpose', 'value': 'test'}],
            },
            'network': {'interface': [{
                'ipv4': {'ipAddress': [{'privateIpAddress': '10.0.0.4', 'publicIpAddress': ''}],
                         'subnet': [{'address': '10.0.0.0', 'prefix': '24'}]},
                'ipv6': {'ipAddress': []}, 'macAddress': '000D3A112233'}]},
            'extended': {'compute': {'hasCustomData': False, 'ppsType': self.pps_type}},
        }

    def respond(self, request):
        if request.path == '/acc/tdquote' and self.tdquote:
            return self._quote(request)
        if not request.path.startswith('/metadata/'):
            return self.error(404, 'Not found', request)
        if request.headers.get('metadata', '').lower() != 'true':
            return self.error(400, 'Bad request. Required metadata header not specified', request)
        if 'x-forwarded-for' in request.headers:
            return self.error(400, 'Bad request. X-Forwarded-For is not allowed', request)
        if request.method != 'GET':
            return self.error(405, 'Method not allowed', request)
        if request.parameter('api-version') not in VERSIONS:
            return self.error(400, f'Bad request. api-version is invalid. Newest: {VERSIONS[-1]}', request)
        parts = [part for part in request.path.removeprefix('/metadata/').split('/') if part]
        if not parts or parts.pop(0) != 'instance':
            return self.error(404, 'Not found', request)
        value = self.instance()
        if request.parameter('extended') != 'true':
            del value['extended']
        for part in parts:
            try:
                value = value[int(part) if isinstance(value, list) else part]
            except (KeyError, IndexError, ValueError, TypeError):
                return self.error(404, 'Not found', request)
        if request.parameter('format') == 'text':
            if isinstance(value, (dict, list)):
                return self.error(400, 'Bad request. text is for single values', request)
            return Response(body=str(value).encode())
        return Response(body=json.dumps(value).encode(), content_type='application/json; charset=utf-8')

    def error(self, status, text, request):
        return Response(status, json.dumps({'error': text}).encode(), 'application/json; charset=utf-8')

    def _quote(self, request):
        if request.method != 'POST':
            return self.error(405, 'Method not allowed', request)
        if request.headers.get('content-type') != 'application/json':
            return self.error(415, 'Unsupported Media Type', request)
        try:
            text = json.loads(request.body)['report']
            if not isinstance(text, str) or '=' in text or '+' in text or '/' in text:
                raise ValueError('the report is not base64url without padding')
            report = base64.b64decode(text + '=' * (-len(text) % 4), altchars=b'-_', validate=True)
            quote = tdx.quote_from_report(report, size=tdx.AZURE_QUOTE_SIZE)
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            request.entry['refused'] = str(error)
            return self.error(400, f'Bad request. {error}', request)
        body = {'quote': base64.urlsafe_b64encode(quote).rstrip(b'=').decode()}
        return Response(body=json.dumps(body).encode(), content_type='application/json; charset=utf-8')
