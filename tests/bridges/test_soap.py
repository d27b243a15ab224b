"""The example with zeep: a SOAP service, called through adieu's adapters."""

from __future__ import annotations

import re
import runpy
from typing import TYPE_CHECKING, Any

import pytest

from adieu.testing import established
from support.documents import ROOT

if TYPE_CHECKING:
    from adieu.testing import FaultServer
    from adieu.testing.faults import Ending, Peer
    from adieu.testing.request import Request

zeep: Any = pytest.importorskip("zeep", reason="it is in the group `bridges`")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WSDL = """<?xml version="1.0"?>
<definitions name="Sums" targetNamespace="urn:sums" xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:sums"
 xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:x="http://www.w3.org/2001/XMLSchema">
<types><x:schema targetNamespace="urn:sums" elementFormDefault="qualified">
<x:element name="Add"><x:complexType><x:sequence>
<x:element name="a" type="x:int"/><x:element name="b" type="x:int"/></x:sequence></x:complexType></x:element>
<x:element name="Added"><x:complexType><x:sequence>
<x:element name="sum" type="x:int"/></x:sequence></x:complexType></x:element>
</x:schema></types>
<message name="In"><part name="p" element="t:Add"/></message>
<message name="Out"><part name="p" element="t:Added"/></message>
<portType name="Port"><operation name="Add"><input message="t:In"/><output message="t:Out"/></operation></portType>
<binding name="Binding" type="t:Port"><soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>
<operation name="Add"><soap:operation soapAction="add"/><input><soap:body use="literal"/></input>
<output><soap:body use="literal"/></output></operation></binding>
<service name="Sums"><port name="Port" binding="t:Binding"><soap:address location="{url}/sums"/></port></service>
</definitions>"""
ENVELOPE = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'


def test_a_soap_service_is_called_and_nothing_stays_open(fault_server: FaultServer) -> None:
    def xml(peer: Peer, text: str, status: int = 200) -> Ending:
        content = text.encode()
        peer.start(status, [("content-type", "text/xml"), ("content-length", str(len(content)))])
        peer.body(content)
        return "keep"

    def wsdl(peer: Peer, request: Request) -> Ending:
        return xml(peer, WSDL.replace("{url}", fault_server.url))

    def sums(peer: Peer, request: Request) -> Ending:
        a, b = (int(number) for number in re.findall(rb">(-?\d+)<", request.body))
        if a < 0:
            fault = "<s:Fault><faultcode>s:Client</faultcode><faultstring>too small</faultstring></s:Fault>"
            return xml(peer, ENVELOPE.format(fault), 500)
        body = f'<Added xmlns="urn:sums"><sum>{a + b}</sum></Added>'
        return xml(peer, ENVELOPE.format(body))

    fault_server.on("/wsdl", wsdl)
    fault_server.on("/sums", sums)
    soap_client = runpy.run_path(str(ROOT / "examples/soap.py"))["soap_client"]
    with soap_client(f"{fault_server.url}/wsdl") as client:
        assert [client.service.Add(n, 1) for n in range(3)] == [1, 2, 3]
        with pytest.raises(zeep.exceptions.Fault, match="too small"):
            client.service.Add(-1, 1)
        assert fault_server.accepted == 1
    assert established(to_ports={fault_server.port}) == 0
    assert [request.path for request in fault_server.requests] == ["/wsdl", *["/sums"] * 4]
