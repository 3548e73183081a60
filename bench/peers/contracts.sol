// SPDX-License-Identifier: Apache-2.0
// The smallest concrete contracts over OpenZeppelin's abstract ones: nothing here costs gas of its own.
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {VestingWallet} from "@openzeppelin/contracts/finance/VestingWallet.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {PaymentSplitter} from "@openzeppelin/contracts-v4/finance/PaymentSplitter.sol";

contract PlainToken is ERC20 {
    constructor(uint256 supply) ERC20("Plain", "PLN") {
        _mint(msg.sender, supply);
    }
}

contract VotesToken is ERC20Votes {
    constructor(uint256 supply) ERC20("Votes", "VOT") EIP712("Votes", "1") {
        _mint(msg.sender, supply);
    }
}
