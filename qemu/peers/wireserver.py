# SPDX-License-Identifier: GPL-2.0-or-later
"""The Azure wireserver: goal state, health reports in XML, and the newer JSON provisioning API (the protocols of WALinuxAgent
and azure-init). It is stricter than the real one: it requires the headers, and a report must return exactly the incarnation,
container and instance of the goal state, which exposes an agent that hard-codes one of them."""

import json
import uuid
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

from .server import HttpPeer, Response

VERSION = '2012-11-30'
MAX_DESCRIPTION = 4096


class Refused(Exception):
    """The report is refused; the message has the reason."""


class Wireserver(HttpPeer):
    """`health` has every accepted report, oldest first: {state, substatus, description, via}."""

    name = 'wireserver'
    settings = ('incarnation', 'container_id', 'instance_id', 'crlf', 'bom', 'json_api', 'xml_api')

    def __init__(self, address='168.63.129.16', port=80):
        super().__init__([(address, port, None)])
        self.incarnation = 7
        self.container_id = str(uuid.UUID('5a1ed3c0-92f4-4b52-9f0e-1d6c3a7b8e21'))
        self.instance_id = '9c0f7e5a-4d0b-4f6e-8f0a-2b7e6c1d4a93._gantry-test'
        self.crlf = False
        self.bom = False
        self.json_api = True
        self.xml_api = True
        self.health = []

    def respond(self, request):
        component = request.parameter('comp')
        if request.path in ('/machine', '/machine/') and self.xml_api:
            missing = self._missing_headers(request)
            if missing:
                return self._refuse(request, missing)
            if component == 'goalstate':
                if request.method != 'GET':
                    return self.error(405, 'method not allowed', request)
                return Response(body=self.goal_state(), content_type='text/xml; charset=utf-8')
            if component == 'health':
                if request.method != 'POST':
                    return self.error(405, 'method not allowed', request)
                return self._report(request, self._read_xml, 200)
        if request.path == '/provisioning/health' and self.json_api:
            if request.method != 'POST':
                return self.error(405, 'method not allowed', request)
            if 'x-ms-guest-agent-name' not in request.headers:
                return self._refuse(request, 'x-ms-guest-agent-name is missing')
            return self._report(request, self._read_json, 201)
        return self.error(404, 'not found', request)

    def error(self, status, text, request):
        body = (f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{status}</Code>'
                f'<Message>{escape(text)}</Message></Error>')
        return Response(status, body.encode(), 'text/xml; charset=utf-8')

    def goal_state(self):
        """The goal state document as bytes."""
        base = f'http://{self.address[0]}:80/machine/{self.container_id}/{self.instance_id}'
        text = f'''<?xml version="1.0" encoding="utf-8"?>
<GoalState xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="goalstate10.xsd">
  <Version>2010-12-15</Version>
  <Incarnation>{self.incarnation}</Incarnation>
  <Machine>
    <ExpectedState>Started</ExpectedState>
    <StopRolesDeadlineHint>300000</StopRolesDeadlineHint>
    <LBProbePorts><Port>16001</Port></LBProbePorts>
    <ExpectHealthReport>FALSE</ExpectHealthReport>
  </Machine>
  <Container>
    <ContainerId>{escape(self.container_id)}</ContainerId>
    <RoleInstanceList>
      <RoleInstance>
        <InstanceId>{escape(self.instance_id)}</InstanceId>
        <State>Started</State>
        <Configuration>
          <HostingEnvironmentConfig>{base}?comp=config&amp;type=hostingEnvironmentConfig</HostingEnvironmentConfig>
          <SharedConfig>{base}?comp=config&amp;type=sharedConfig</SharedConfig>
          <Certificates>{base}?comp=certificates</Certificates>
        </Configuration>
      </RoleInstance>
    </RoleInstanceList>
  </Container>
</GoalState>
'''
        if self.crlf:
            text = text.replace('\n', '\r\n')
        return (b'\xef\xbb\xbf' if self.bom else b'') + text.encode()

    @staticmethod
    def _missing_headers(request):
        if not request.headers.get('x-ms-agent-name'):
            return 'x-ms-agent-name is missing'
        if request.headers.get('x-ms-version') != VERSION:
            return f'x-ms-version must be {VERSION}'
        return None

    def _refuse(self, request, reason):
        request.entry['refused'] = reason
        return self.error(400, reason, request)

    def _report(self, request, read, status):
        try:
            report = read(request)
            self._check(report)
        except Refused as error:
            return self._refuse(request, str(error))
        request.entry['health'] = report
        with self._changed:
            self.health.append(report)
            self._changed.notify_all()
        return Response(status, b'', 'text/plain')

    def wait_for_health(self, state, timeout_s=30.0):
        """Waits for an accepted report with that state; returns it, or None at the time-out."""
        def find():
            return next((report for report in self.health if report['state'] == state), None)
        with self._changed:
            self._changed.wait_for(find, timeout_s)
            return find()

    @staticmethod
    def _check(report):
        if report['state'] not in ('Ready', 'NotReady'):
            raise Refused(f'state {report["state"]!r} is neither Ready nor NotReady')
        if report['state'] == 'NotReady':
            if report['substatus'] not in ('ProvisioningFailed', 'Provisioning'):
                raise Refused(f'substatus {report["substatus"]!r} is not known')
            if not report['description']:
                raise Refused('NotReady without a description')
        if len((report['description'] or '').encode()) > MAX_DESCRIPTION:
            raise Refused(f'description is longer than {MAX_DESCRIPTION} bytes')

    def _read_xml(self, request):
        if request.headers.get('content-type', '').replace(' ', '').lower() != 'text/xml;charset=utf-8':
            raise Refused('content-type must be text/xml; charset=utf-8')
        try:
            health = ElementTree.fromstring(request.body)
        except ElementTree.ParseError as error:
            raise Refused(f'not XML: {error}') from None
        role = 'Container/RoleInstanceList/Role'
        if health.tag != 'Health':
            raise Refused(f'root element is {health.tag}')
        for path, wanted in (('GoalStateIncarnation', str(self.incarnation)),
                             ('Container/ContainerId', self.container_id),
                             (f'{role}/InstanceId', self.instance_id)):
            found = health.findtext(path)
            if found != wanted:
                raise Refused(f'{path} is {found!r}, not {wanted!r}')
        return {'via': 'xml', 'state': health.findtext(f'{role}/Health/State'),
                'substatus': health.findtext(f'{role}/Health/Details/SubStatus'),
                'description': health.findtext(f'{role}/Health/Details/Description')}

    @staticmethod
    def _read_json(request):
        if request.headers.get('content-type', '').split(';')[0].strip().lower() != 'application/json':
            raise Refused('content-type must be application/json')
        try:
            body = json.loads(request.body)
            details = body.get('details') or {}
            return {'via': 'json', 'state': body.get('state'), 'substatus': details.get('subStatus'),
                    'description': details.get('description')}
        except (ValueError, AttributeError) as error:
            raise Refused(f'not the expected JSON: {error}') from None
