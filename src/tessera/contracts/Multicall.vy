# pragma version 0.4.3
# pragma evm-version cancun
"""
@title Multicall
@license Apache-2.0
@notice Many calls in one, as tools expect it on every chain (Multicall3): the two functions by which they read.
@dev On a development chain it stands at the address that it has everywhere else.
@custom:security It holds nothing and may do nothing that its caller could not; never give it an allowance.
@custom:pause Nothing here can be paused.
"""


struct Request:
    target: address
    callData: Bytes[MAX_DATA]


struct Request3:
    target: address
    allowFailure: bool
    callData: Bytes[MAX_DATA]


struct Result:
    success: bool
    returnData: Bytes[MAX_RETURNED]


MAX_CALLS: constant(uint256) = 64
MAX_DATA: constant(uint256) = 2048
MAX_RETURNED: constant(uint256) = 1024


@external
@payable
def tryAggregate(
    requireSuccess: bool, calls: DynArray[Request, MAX_CALLS]
) -> DynArray[Result, MAX_CALLS]:
    """
    @notice Make all calls, in order; with `requireSuccess` the first that fails ends all.
    """
    results: DynArray[Result, MAX_CALLS] = []
    for call: Request in calls:
        result: Result = self._called(call.target, call.callData)
        assert result.success or not requireSuccess, "multicall: a call failed"
        results.append(result)
    return results


@external
@payable
def aggregate3(calls: DynArray[Request3, MAX_CALLS]) -> DynArray[Result, MAX_CALLS]:
    """
    @notice As `tryAggregate`; each call says for itself whether it may fail.
    """
    results: DynArray[Result, MAX_CALLS] = []
    for call: Request3 in calls:
        result: Result = self._called(call.target, call.callData)
        assert result.success or call.allowFailure, "multicall: a call failed"
        results.append(result)
    return results


@internal
def _called(target: address, data: Bytes[MAX_DATA]) -> Result:
    success: bool = False
    returned: Bytes[MAX_RETURNED] = b""
    success, returned = raw_call(target, data, max_outsize=MAX_RETURNED, revert_on_failure=False)
    return Result(success=success, returnData=returned)
